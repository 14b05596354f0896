"""What tests and benches share: servers, real clients, hand-made requests, collections."""

MEBIBYTE = 1 << 20
