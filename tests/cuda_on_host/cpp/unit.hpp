// Stands before the text of every unit.
#pragma once
#include "kernel.hpp"
#include "entry.hpp"
