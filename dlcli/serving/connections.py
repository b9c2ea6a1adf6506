"""Connections of a server that ends, as when a worker is replaced."""

from __future__ import annotations

from uvicorn.protocols.http.auto import AutoHTTPProtocol

_SECONDS_FOR_A_REQUEST = 0.5


class PatientConnection(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # of two classes
    """Uvicorn's connection, which does not drop a request that is on its way.

    Uvicorn closes connections that wait for a request at once when it ends, and clients that send
    one at this moment get no answer. Here they have some time to send it; its answer says that the
    connection closes.
    """

    _is_ending = False

    def shutdown(self) -> None:
        """Answer a request that was begun, or comes soon, and close the connection."""
        is_waiting = self.cycle is None or self.cycle.response_complete
        if is_waiting and not self._is_ending:
            self._is_ending = True
            self.loop.call_later(_SECONDS_FOR_A_REQUEST, self.shutdown)
        else:
            super().shutdown()

    def on_headers_complete(self) -> None:
        """Begin a request."""
        super().on_headers_complete()
        if self._is_ending and self.cycle is not None:
            self.cycle.keep_alive = False
