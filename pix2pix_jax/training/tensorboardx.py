"""The parts of tensorboardX that write events, imported without PyTorch.

tensorboardX imports PyTorch if it is installed, to accept its tensors. This project has none, and a
run starts two seconds sooner without that import.
"""

import sys

# None in the place of a module makes its import fail.
_torch = sys.modules.setdefault("torch", None)  # pyright: ignore[reportArgumentType]
try:
    from tensorboardX.event_file_writer import EventsWriter

    # Protobuf creates these classes at import time, so a type checker cannot find them.
    from tensorboardX.proto.event_pb2 import (
        Event,  # pyright: ignore[reportAttributeAccessIssue]
        SessionLog,  # pyright: ignore[reportAttributeAccessIssue]
    )
    from tensorboardX.proto.summary_pb2 import (
        Summary,  # pyright: ignore[reportAttributeAccessIssue]
    )
    from tensorboardX.summary import image, scalar
finally:
    if _torch is None:
        del sys.modules["torch"]

__all__ = ["Event", "EventsWriter", "SessionLog", "Summary", "image", "scalar"]
