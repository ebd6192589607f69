//! The contract of where bytes lie, on a disk and in memory. In a bucket: `tests/s3/bucket.rs`.

use std::sync::{Arc, Mutex};

use layer0_domain::port::blob_bytes::BlobBytes;
use layer0_registry::FileBytes;
use layer0_registry::disk::OsDisk;
use layer0_testkit::blob_bytes_suite::run_all;
use layer0_testkit::memory_bytes::MemoryBytes;

#[tokio::test]
async fn bytes_on_a_disk() {
    let directories = Mutex::new(Vec::new());
    run_all(async || {
        let directory = tempfile::tempdir().unwrap();
        let bytes = FileBytes::open(directory.path(), Arc::new(OsDisk)).unwrap();
        directories.lock().unwrap().push(directory);
        Arc::new(bytes) as Arc<dyn BlobBytes>
    })
    .await;
}

#[tokio::test]
async fn bytes_in_memory() {
    run_all(async || Arc::new(MemoryBytes::default()) as Arc<dyn BlobBytes>).await;
}
