//! What is written for people who use the product: its examples and the commands of its pages, run to their end.

mod examples;
mod page;
mod pages;
mod reader;
mod scripted_endpoint;
