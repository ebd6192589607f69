#!/bin/sh
# For Cargo as RUSTC_WRAPPER: the compiler as it is, but the executable `l0` is linked statically, so that `l0 setup` can make an image of
# it. As a wrapper it costs no second build: an argument for one crate (`cargo rustc`) would have Cargo build what tests need in other features once more.
case " $* " in
*" --crate-name l0 "*" --crate-type bin "*) exec "$@" -C target-feature=+crt-static -C strip=symbols ;;
*) exec "$@" ;;
esac
