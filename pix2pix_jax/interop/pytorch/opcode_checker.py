"""Checks the opcodes of a pickle before it is loaded, and refuses pickles that could do harm."""

import pickle
import pickletools

MAX_MARKS = 1000  # the most marks on the stack at the same time

# Opcodes that push one value onto the stack. The value is never a tuple that contains values.
PUSHES = frozenset(
    {
        "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1",
        "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE",
        "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
        "EMPTY_TUPLE", "EMPTY_LIST", "EMPTY_DICT", "GLOBAL",
    }
)  # fmt: skip
# The number of values at the top of the stack that an opcode replaces with one value. The new value
# is not a tuple that can be nested. NEWOBJ makes an object of a class. The table contains NEWOBJ so
# that `find_class` refuses a pickled network and names its class.
REPLACES = {"REDUCE": 2, "STACK_GLOBAL": 2, "NEWOBJ": 2, "BINPERSID": 1}
# The number of values at the top of the stack that an opcode replaces with a tuple.
SMALL_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
# The number of values at the top of the stack that an opcode moves into the value below; None: all
# values above the last mark.
STORES = {"APPEND": 1, "BUILD": 1, "APPENDS": None, "SETITEM": 2, "SETITEMS": None}
# Opcodes that copy the top of the stack into the memo, or push a value of the memo.
REMEMBERS = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")
RECALLS = ("GET", "BINGET", "LONG_BINGET")
NO_EFFECT = ("PROTO", "FRAME")


class OpcodeChecker:
    """Checks the opcodes of a pickle before it is loaded.

    The checker follows the stack of the unpickler, but keeps only whether each value is a tuple.
    No tuple may be the key of a dict, because a short pickle can make a tuple that takes
    exponential time to hash: each of its levels contains the level below twice.
    """

    def __init__(self, content: bytes):
        """Starts before the first opcode.

        Args:
          content: bytes that begin with the pickle.
        """
        self._content = content
        self._stack: list[bool] = []
        self._below_marks: list[list[bool]] = []
        self._memo: dict[int, bool] = {}

    def check(self) -> int:
        """Checks all opcodes.

        Returns:
          The length of the pickle in bytes.

        Raises:
          UnpicklingError: the pickle has an opcode that no state dict needs, or that could take too
            much time or memory.
          Exception: the pickle is broken; the error can be of any type.
        """
        for opcode, argument, position in pickletools.genops(self._content):
            if opcode.name == "STOP":
                assert position is not None  # genops knows positions in bytes
                return position + 1
            if opcode.name in STORES:
                self._store(opcode.name)
            elif opcode.name in REMEMBERS:
                self._remember(len(self._memo) if argument is None else argument)
            elif opcode.name in RECALLS:
                assert argument is not None  # RECALLS have an index
                self._stack.append(self._memo[argument])
            else:
                self._follow(opcode.name)
        raise EOFError("the pickle has no end")  # genops raises before this line is reached

    def _follow(self, name: str) -> None:
        """Follows an opcode that neither moves values into another value nor uses the memo."""
        if name in PUSHES:
            self._stack.append(False)
        elif name in REPLACES:
            self._pop(REPLACES[name])
            self._stack.append(False)
        elif name in SMALL_TUPLES:
            self._pop(SMALL_TUPLES[name])
            self._stack.append(True)
        elif name == "TUPLE":
            self._pop_mark()
            self._stack.append(True)
        elif name == "MARK":
            if len(self._below_marks) == MAX_MARKS:
                raise pickle.UnpicklingError("nests values too deeply")
            self._below_marks.append(self._stack)
            self._stack = []
        elif name not in NO_EFFECT:
            raise pickle.UnpicklingError(
                f"uses the pickle opcode {name}, which no state dict needs"
            )

    def _store(self, name: str) -> None:
        """Follows an opcode that moves values into a list, a dict or an object."""
        count = STORES[name]
        values = self._stack if count is None else self._stack[-count:]
        if count is None:
            self._pop_mark()
        else:
            self._pop(count)
        if name.startswith("SETITEM") and any(values[::2]):  # keys and values take turns
            raise pickle.UnpicklingError("has a dict with a tuple as a key")

    def _remember(self, index: int) -> None:
        """Follows an opcode that copies the top of the stack into the memo."""
        if not 0 <= index < len(self._content):  # the unpickler reserves memory up to the index
            raise pickle.UnpicklingError(f"remembers a value at the impossible index {index}")
        self._memo[index] = self._stack[-1]

    def _pop(self, count: int) -> None:
        if len(self._stack) < count:
            raise pickle.UnpicklingError("takes values from an empty stack")
        del self._stack[len(self._stack) - count :]

    def _pop_mark(self) -> None:
        self._stack = self._below_marks.pop()
