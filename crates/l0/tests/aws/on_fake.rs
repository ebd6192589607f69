//! Instances on the fake AWS of the test kit, for what the emulator lacks or says to everything: whether an image may be
//! pulled, capacity providers, classic load balancers.

use layer0_testkit::aws::{EXECUTION, FakeAws, FakeAwsConfig, FakeImage, Role};
use tokio::runtime::{Builder, Runtime};

use crate::common::instance::Instance;
use crate::script::Place;

/// An instance and its AWS. The server goes first, then what it talks to.
pub(crate) struct OnFake {
    pub(crate) instance: Instance,
    pub(crate) aws: FakeAws,
    _runtime: Runtime,
}

impl Place for OnFake {
    fn instance(&self) -> &Instance {
        &self.instance
    }
}

impl OnFake {
    /// A server in these subnets of a VPC of the fake's, with an execution role and the image `team/app:1`.
    #[track_caller]
    pub(crate) fn start(config: FakeAwsConfig, vpc: &str, subnets: &str) -> Self {
        let role = format!("arn:aws:iam::{}:role/l0-execution", config.account);
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let aws = runtime.block_on(FakeAws::start(config));
        aws.role("l0-execution", Role::for_tasks(&EXECUTION));
        aws.role("layer0", Role::for_tasks(&["iam:PassRole"]));
        aws.image("team/app", "1", FakeImage::default());
        let mut instance = Instance::prepared(&[]);
        let flags = [
            ("--engine", "ecs"),
            ("--aws-region", "us-east-1"),
            ("--endpoint-url", aws.endpoint()),
            ("--aws-vpc", vpc),
            ("--aws-private-subnets", subnets),
            ("--aws-public-subnets", "subnet-public-a,subnet-public-b"),
            ("--aws-execution-role", &role),
            ("--image-map", "registry.example.com|123456789012.dkr.ecr.us-east-1.amazonaws.com"),
        ];
        let words: Vec<String> = flags.iter().flat_map(|(flag, value)| [*flag, *value]).map(str::to_owned).collect();
        instance.flags_add(&words);
        instance.server_start();
        Self { instance, aws, _runtime: runtime }
    }

    /// Writes the task definition of one container with this image of the team's.
    pub(crate) fn document(&self, file: &str, image: &str) {
        let document = serde_json::json!({ "containerDefinitions": [{
            "name": "app",
            "image": format!("registry.example.com/{image}"),
            "memory": 64,
            "portMappings": [{ "containerPort": 8080 }],
        }] });
        self.instance.file(file, document.to_string());
    }
}
