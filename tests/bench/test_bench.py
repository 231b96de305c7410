#!/usr/bin/python3
# SPDX-License-Identifier: ISC
