"""The parts of tensorboardX that write events, imported without large libraries.

tensorboardX imports PyTorch and the client of Google Cloud Storage if they are installed. This
project writes no tensors of PyTorch and uploads event files itself, and a run starts two seconds
sooner without these imports.
"""

import sys

_UNUSED = [name for name in ("torch", "google.cloud.storage") if name not in sys.modules]
# An import fails if None takes the place of the module in sys.modules.
sys.modules |= dict.fromkeys(_UNUSED)  # pyright: ignore
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
    for _name in _UNUSED:
        del sys.modules[_name]

__all__ = ["Event", "EventsWriter", "SessionLog", "Summary", "image", "scalar"]
