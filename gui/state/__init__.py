"""What widgets bind to: QObjects and item models over the engine client and the library."""
