// The one source of the targets whose precompiled headers the tests share.
