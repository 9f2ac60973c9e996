"""Engines run the training steps on the memory of a model's parameters.

`fused` runs the kernels, `autograd` plain PyTorch operations, `distributed` the kernels on several
hosts. An engine knows batches of rows, and nothing of epochs, files or logs.
"""
