"""The REST API: decoding, checking, answering."""
