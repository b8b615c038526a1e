"""Puts this folder's slow references within reach of the tests in the folders below it."""
