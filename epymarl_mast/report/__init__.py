"""Tables and pictures of finished runs, read back from what Sacred recorded."""
