"""One job on many hosts: who they are, how they meet, and what goes over the wire.

torch.distributed with gloo underneath, loaded only by a job that has more than one host. A host
that is lost ends the others, with an error that names it.
"""
