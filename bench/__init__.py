"""`make bench` compares this project with what people would use instead, and with the fastest possible writes."""
