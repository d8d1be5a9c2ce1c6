"""Records over HTTP: `POST /streams/STREAM` with JSON lines, acknowledged by the broker before they are answered."""
