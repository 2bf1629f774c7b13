"""The edges: AWS, ONNX Runtime and DuckDB behind the ports. Vendor errors are translated here."""
