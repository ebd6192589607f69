//! A program that sleeps for ever, as a static ELF file of one segment (System V ABI, chapter 4 and 5).

/// Where the file is mapped; any page that a process may use.
const BASE: u64 = 0x40_0000;
/// Size of the ELF header and of one program header, 64-bit.
const HEADERS: u64 = 64 + 56;

/// `pause()` for ever: system call 34 of x86-64.
const X86_64: [u8; 9] = [
    0xB8, 0x22, 0x00, 0x00, 0x00, // mov eax, 34
    0x0F, 0x05, // syscall
    0xEB, 0xF7, // jmp to the beginning
];

/// `ppoll(NULL, 0, NULL, NULL, 0)` for ever: system call 73 of arm64, which has no `pause`.
const AARCH64: [u32; 8] = [
    0xD280_0928, // mov x8, #73
    0xD280_0000, // mov x0, #0
    0xD280_0001, // mov x1, #0
    0xD280_0002, // mov x2, #0
    0xD280_0003, // mov x3, #0
    0xD280_0004, // mov x4, #0
    0xD400_0001, // svc #0
    0x17FF_FFF9, // b to the beginning
];

/// The program for a machine as Docker names it (`amd64`, `arm64`); `None` for others.
pub(super) fn program(architecture: &str) -> Option<Vec<u8>> {
    match architecture {
        "amd64" => Some(file(62, &X86_64)),
        "arm64" => Some(file(183, &AARCH64.map(u32::to_le_bytes).concat())),
        _ => None,
    }
}

/// One loadable segment that holds the whole file, entered behind its headers.
fn file(machine: u16, code: &[u8]) -> Vec<u8> {
    let length = HEADERS + code.len() as u64;
    let mut file = Vec::with_capacity(code.len() + 120);
    file.extend(b"\x7FELF");
    file.extend([2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]); // 64-bit, little-endian, version 1, System V
    file.extend(2_u16.to_le_bytes()); // executable
    file.extend(machine.to_le_bytes());
    file.extend(1_u32.to_le_bytes()); // version
    file.extend((BASE + HEADERS).to_le_bytes()); // entry
    file.extend(64_u64.to_le_bytes()); // program headers
    file.extend(0_u64.to_le_bytes()); // no sections
    file.extend(0_u32.to_le_bytes()); // flags
    for half in [64_u16, 56, 1, 64, 0, 0] {
        file.extend(half.to_le_bytes()); // sizes and counts of the headers
    }
    file.extend(1_u32.to_le_bytes()); // loadable
    file.extend(5_u32.to_le_bytes()); // readable, executable
    for word in [0, BASE, BASE, length, length, 0x1000] {
        file.extend(word.to_le_bytes()); // offset, addresses, sizes, alignment
    }
    file.extend(code);
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_is_the_first_byte_behind_the_headers() {
        for machine in ["amd64", "arm64"] {
            let file = program(machine).expect("a known machine");
            let entry = u64::from_le_bytes(file[24..32].try_into().expect("8 bytes"));
            assert_eq!(entry - BASE, HEADERS);
            assert!(file.len() > usize::try_from(HEADERS).expect("small"));
        }
        assert_eq!(program("s390x"), None);
    }

    #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
    #[test]
    fn this_machine_runs_it() {
        use std::os::unix::fs::PermissionsExt;

        let machine = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
        let path = std::env::temp_dir().join(format!("layer0-pause-{}", std::process::id()));
        std::fs::write(&path, program(machine).expect("a known machine")).expect("a writable directory");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("our own file");
        let mut child = std::process::Command::new(&path).spawn().expect("a file that the kernel takes");
        // It sleeps: the kernel says so (state S), and it has not ended.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let sleeping = loop {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
            let comm = stat.contains("(layer0-pause");
            if comm && stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('S')) {
                break true;
            }
            if child.try_wait().expect("our own child").is_some() || std::time::Instant::now() > deadline {
                break false;
            }
            std::thread::yield_now();
        };
        child.kill().expect("our own child");
        child.wait().expect("our own child");
        std::fs::remove_file(&path).expect("our own file");
        assert!(sleeping);
    }
}
