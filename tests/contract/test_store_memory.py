"""The store in memory keeps the port's promises."""

from __future__ import annotations

import pytest

from orchestrator.store.opening import open_store
from orchestrator.store.port import StateStore
from tests.contract.store_contract import StoreContract
from tests.contract.store_namespace_contract import NamespaceContract
from tests.contract.store_search_contract import SearchContract
from tests.contract.store_values import NOON


class TestMemory(StoreContract, NamespaceContract, SearchContract):
    @pytest.fixture
    def store(self) -> StateStore:
        store = open_store("memory:", migrate=True)
        store.take_ownership("tests", NOON)
        return store
