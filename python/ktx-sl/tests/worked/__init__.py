"""Worked examples: one small shop, its rows, and queries with hand-computed answers."""

from .cases import CASES, Case, Refusal
from .shop import CITIES_DATA, CITIES_MODEL, SHOP_DATA, SHOP_MODEL

__all__ = ["CASES", "CITIES_DATA", "CITIES_MODEL", "SHOP_DATA", "SHOP_MODEL", "Case", "Refusal"]
