//! The engine on emulators of AWS, for what the testkit's own fake can't show: that requests and answers are understood by
//! somebody who did not read this code. `scripts/aws.sh` starts the emulators and says where they are; without that these
//! tests fail.

mod guarded;
mod moto;
mod stage;
