//! `DynamoStore` on an emulator of DynamoDB: the contracts of all ports, with and without faults on the way.
//!
//! `scripts/aws-emulators.sh start` starts one; its `env` sets `LAYER0_TEST_DYNAMODB`, without which every test here fails.

mod contract;
mod faults;
mod layout;
mod litter;
mod proxy;
mod registry;
mod servers;
mod sizes;
mod support;
