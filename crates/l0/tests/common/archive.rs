//! The test program as a layer.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::run::run;

/// The archive with the test program, made once in a process.
pub(crate) fn archive() -> &'static PathBuf {
    static ARCHIVE: OnceLock<PathBuf> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/tool.rs");
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("tool-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory of our own");
        let program = directory.join("tool");
        let mut rustc = Command::new("rustc");
        rustc.args([
            "--edition",
            "2024",
            "-O",
            "-C",
            "target-feature=+crt-static",
            "-C",
            "strip=symbols",
            source,
            "-o",
        ]);
        run(rustc.arg(&program), b"").ok();
        let archive = directory.join("layer.tar");
        run(Command::new("tar").arg("-C").arg(&directory).arg("-cf").arg(&archive).arg("tool"), b"").ok();
        archive
    })
}
