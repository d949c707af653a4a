"""What the API asks and answers, without any I/O: requests are built here, and answers read, for both twins."""
