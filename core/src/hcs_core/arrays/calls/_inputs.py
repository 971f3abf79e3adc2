"""Arrays on their way into a function: into its framework, all on one device."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from hcs_core.arrays._adapter import ArrayAdapter
from hcs_core.arrays._adapters import adapter_for, adapter_of
from hcs_core.arrays._convert import convert
from hcs_core.arrays._device_names import full_name
from hcs_core.arrays.calls._arguments import Argument, Given
from hcs_core.arrays.calls._contract import FunctionContract
from hcs_core.arrays.calls._host_types import host_types
from hcs_core.arrays.calls._lending import Loans
from hcs_core.errors import HcsError


class Inputs:
    """What becomes of the arrays that a function is called with.

    Parameters
    ----------
    name : str
        What the function is called in messages.
    contract : FunctionContract
        What it says of itself.

    Attributes
    ----------
    device : str or None
        Where it runs, under its full name; None for where its first array lies.
    """

    def __init__(self, name: str, contract: FunctionContract) -> None:
        self._name, self._contract = name, contract
        self.device = full_name(contract.device)

    def adapter(self) -> ArrayAdapter:
        """Return the adapter of the function's framework."""
        return adapter_for(self._contract.memory_in)

    def ready(self, given: Given, loans: Loans) -> tuple[str | None, Given]:
        """Return the device of a call, and the call with its arrays in the framework there.

        Memory that is shared because the function has promised not to write is noted in `loans`.
        """
        arrays = given.arrays
        if not arrays:
            return self.device, given
        own = [argument for argument, value in arrays.items() if self._owns(value)]
        lead = next(iter(own or arrays))
        first = self._converted(lead, arrays[lead], self.device, loans)
        device = self.device_of(first)
        others = {
            argument: self._converted(argument, value, device, loans)
            for argument, value in arrays.items()
            if argument is not lead
        }
        return device, given.replaced({lead: first, **others})

    def place(self, given: Given) -> str:
        """Return the device that the function runs on, without converting anything."""
        own = [value for value in given.arrays.values() if self._owns(value)]
        lies_on = self.device_of(own[0]) if own else None
        return self.device or lies_on or self.adapter().host_device()

    def device_of(self, array: Any) -> str | None:
        """Return where an array of the framework lies, and remember it for others like it.

        None for an array without a place, as one that is traced mostly is.
        """
        return host_types(self.adapter()).device_of(array)

    def computing_on(self, device: str | None) -> AbstractContextManager[object]:
        """Return a context that computes on a device, off the host in a stream of its own."""
        # That calls within calls, whose stream is the same, wait for each other as they should
        # follows from what `ArrayAdapter.on` says; it has not been run on a GPU.
        return nullcontext() if device in (None, "cpu") else self.adapter().on(device)

    def _converted(self, argument: Argument, value: Any, device: str | None, loans: Loans) -> Any:
        if self._owns(value) and self._stays(value, device):
            return value
        contract = self._contract
        try:
            if not contract.writable:
                return loans.converted(value, contract.memory_in, device)
            return convert(value, contract.memory_in, device=device)
        except HcsError as error:
            error.add_note(f"argument {argument.name!r} of {self._name}")
            raise

    def _stays(self, value: Any, device: str | None) -> bool:
        """Return whether an array of the framework is passed as it is."""
        lies_on = self.device_of(value)
        if lies_on is None:  # it is taken elsewhere only if the contract says where
            return self.device is None
        return device in (None, lies_on)

    def _owns(self, value: Any) -> bool:
        return adapter_of(value).name == self._contract.memory_in
