"""APIModel: a service that takes a JSON list and answers with one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any

from bench.evaluation.interface import Hung, ModelInterface
from bench.evaluation.wording import Item, scored
from steelyard.models.credentials import Auth
from steelyard.models.http import HttpModel

RETRIED = (429, 500, 502, 503, 504)


class APIModel(ModelInterface):
    """A model behind an address. Each call posts the inputs as they are, one list a batch.

    `auth_mode` says where the key goes: bearer and basic in the Authorization header, header in
    X-API-Key, query in ?api_key=. `concurrency` is how many batches may be under way at a time.
    """

    def __init__(
        self,
        api_url: str,
        *,
        api_key: str | None = None,
        model_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30,
        auth_mode: Auth = "bearer",
        max_retries: int = 3,
        backoff_factor: float = 0.5,
        retry_statuses: Collection[int] | None = RETRIED,
        rate_limit_rps: float | None = None,
        concurrency: int = 1,
    ) -> None:
        self._model = HttpModel(
            api_url,
            api_key=api_key,
            auth=auth_mode,
            headers=headers,
            timeout=timeout,
            retries=max_retries,
            backoff=backoff_factor,
            retry_statuses=retry_statuses,
            rate_limit=rate_limit_rps,
            # Here whatever passes counts as a try, also too many requests.
            patience=0,
            retry_budget=None,
        )
        self._model_id = model_id or self._model.name
        self._batches = concurrency

    def __repr__(self) -> str:
        return f"APIModel({self._model.url!r}, model_id={self._model_id!r})"

    @property
    def model_id(self) -> str:
        """The name it was given, else its address."""
        return self._model_id

    @property
    def config(self) -> Item:
        """How it is asked; whatever is secret is masked."""
        return {
            "type": "api",
            "endpoint": self._model.url,
            "headers": self._model.identity()["headers"],
            "timeout": self._model.client.timeout,
            "max_retries": self._model.client.retries,
            "backoff_factor": self._model.client.backoff,
        }

    @property
    def metadata(self) -> Item:
        """The same as `config`."""
        return self.config

    @cached_property
    def hung(self) -> Hung:
        """The model on the beam. Parameters are no part of what is sent."""
        return Hung(
            self,
            self._model,
            lambda: self.config,
            params=lambda given: {},
            answer=scored,
            batches=self._batches,
            identity=self._model.identity,
        )

    def predict(self, inputs: list[Item]) -> list[Item]:
        """The answers to one list, posted as it is."""
        return self.hung.run(inputs, batch_size=len(inputs), given={}) if inputs else []

    async def async_predict(self, inputs: list[Item]) -> list[Item]:
        """The same, awaited."""
        return await self.hung.run_async(inputs, batch_size=len(inputs), given={}) if inputs else []

    def __call__(self, batch: list[Item], **_: Any) -> list[Item]:
        """The same as `predict`."""
        return self.predict(batch)
