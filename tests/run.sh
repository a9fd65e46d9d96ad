#!/bin/sh
exec "$1/kvcs_tests"
