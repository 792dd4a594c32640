"""What widgets bind to: QObjects and item models over the engine, the Hub and the library."""
