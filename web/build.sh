#!/bin/sh
set -eu
mkdir -p web/dist
