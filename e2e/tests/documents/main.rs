//! What is written for people who use the product: its examples, run to their end.

mod examples;
mod scripted_endpoint;
