"""From a training set to a registered model: candidates, evaluation, ONNX export, gates."""
