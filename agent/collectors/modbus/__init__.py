"""Modbus through pymodbus, read only: see README.md."""
