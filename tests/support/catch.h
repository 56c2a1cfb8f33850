#pragma once

// Catch2 2 (Debian 12) has one header, Catch2 3 (newer distributions) has others: tests include
// this file only, after any header of LibTorch, whose logging macros of the same names give way
// here.
#undef CHECK
#undef CHECK_FALSE
#undef REQUIRE
#undef INFO
#undef WARN
#undef FAIL
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif
