"""What the test folders and the benches share: servers, real clients, hand-made requests, collection files."""
