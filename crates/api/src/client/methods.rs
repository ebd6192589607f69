//! One method for each operation of the API, in the order of the nouns.

use reqwest::Method;

use super::{Client, ClientError, segment};
use crate::types::{
    AccountGrant, AccountList, AccountPlan, AccountQuery, AddMapRuleRequest, AddTagRuleRequest, ApiConfig, AuditEntry,
    AuditQuery, BackupBlobQuery, BackupBlobs, CreateDeployRequest, CreateEntityResponse, CreateEnvironmentRequest,
    CreateLoadBalancerRequest, CreateOwnerRequest, CreateRepositoryRequest, CreateServiceRequest, CreateTaskRequest,
    CreateTokenRequest, CreateTokenResponse, CreateTrustRequest, CreateUserRequest, Deploy, DeploySummary,
    DeviceSignIn, DeviceStanding, DeviceTokenRequest, Environment, EnvironmentSummary, ExchangeTokenRequest, GcQuery,
    GcReport, GrantAccountRequest, Image, ImageCheck, ImageCheckQuery, ImageList, ImageResolution,
    ImportRepositoryRequest, ImportedRepository, LoadBalancer, LoadBalancerSummary, LogFile, LogQuery, MapRule, Member,
    MigrateRequest, Migration, MigrationList, Operation, OperationEvent, Owner, PutMemberRequest, RegistryCredential,
    RegistryCredentialQuery, Repository, RepositoryList, RetentionRule, RollbackServiceRequest, Service,
    ServiceSummary, SweepPlan, Tag, TagQuery, TagRule, Task, TaskSummary, TokenSummary, Trust,
    UpdateEnvironmentRequest, UpdateLoadBalancerRequest, UpdateMigrationRequest, UpdateOwnerRequest,
    UpdateRepositoryRequest, UpdateServiceRequest, UpdateUserRequest, User, WhoAmI,
};

type Answer<T> = Result<T, ClientError>;

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) -> $answer:ty = $method:ident $path:literal $(($($part:expr),*))? $(, query $query:expr)? $(, body $body:expr)?;)+) => {
        impl Client {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// [`ClientError`] says whether the server refused, answered nonsense, or can't be reached.
            pub async fn $name(&self, $($arg: $type),*) -> Answer<$answer> {
                let path = format!($path $(, $($part),*)?);
                methods!(@send self $method path $(, query $query)? $(, body $body)?)
            }
        )+}
    };
    (@send $client:ident GET $path:ident) => { $client.get(&$path).await };
    (@send $client:ident GET $path:ident, query $query:expr) => { $client.get_with(&$path, $query).await };
    (@send $client:ident POST $path:ident, body $body:expr) => { $client.send_json(Method::POST, &$path, $body).await };
    (@send $client:ident POST $path:ident) => { $client.json($client.request(Method::POST, &$path)).await };
    (@send $client:ident POST $path:ident, query $query:expr) => {
        $client.json($client.request(Method::POST, &$path).query($query)).await
    };
    (@send $client:ident PUT $path:ident, body $body:expr) => { $client.send_json(Method::PUT, &$path, $body).await };
    (@send $client:ident PATCH $path:ident, body $body:expr) => { $client.send_json(Method::PATCH, &$path, $body).await };
    (@send $client:ident DELETE $path:ident) => { $client.delete(&$path).await };
    (@send $client:ident DELETE $path:ident, query $query:expr) => {
        $client.json($client.request(Method::DELETE, &$path).query($query)).await
    };
    (@send $client:ident DELETE $path:ident, body $body:expr) => { $client.send_json(Method::DELETE, &$path, $body).await };
}

methods! {
    /// The instance's configuration.
    admin_config() -> ApiConfig = GET "/admin/config";
    /// The server's own log.
    admin_logs(query: &LogQuery) -> Vec<LogFile> = GET "/admin/logs", query query;
    /// Records of the audit log, the oldest first.
    admin_audit(query: &AuditQuery) -> Vec<AuditEntry> = GET "/admin/audit", query query;
    /// What a sweep of strays would take away.
    admin_sweep_plan() -> SweepPlan = GET "/admin/sweep";
    /// What the registry would let go of.
    admin_gc_plan(query: &GcQuery) -> GcReport = GET "/admin/gc", query query;
    /// Has the registry let go of what nothing needs.
    admin_gc(query: &GcQuery) -> GcReport = POST "/admin/gc", query query;
    /// The blobs that a backup's copy of the state names.
    admin_backup_blobs(id: &str, query: &BackupBlobQuery) -> BackupBlobs = GET "/admin/backup/{}/blobs" (segment(id)), query query;
    /// Ends a backup: what the server kept for it goes. One that has ended is no error.
    admin_backup_end(id: &str) -> () = DELETE "/admin/backup/{}" (segment(id));

    /// All deploys.
    deploy_list() -> Vec<DeploySummary> = GET "/deploy";
    /// Makes the next version of a deploy.
    deploy_create(request: &CreateDeployRequest) -> CreateEntityResponse = POST "/deploy", body request;
    /// One deploy.
    deploy_get(id: &str) -> Deploy = GET "/deploy/{}" (segment(id));
    /// Deletes a deploy.
    deploy_delete(id: &str) -> CreateEntityResponse = DELETE "/deploy/{}" (segment(id));

    /// All environments.
    environment_list() -> Vec<EnvironmentSummary> = GET "/environment";
    /// Makes an environment.
    environment_create(request: &CreateEnvironmentRequest) -> CreateEntityResponse = POST "/environment", body request;
    /// One environment.
    environment_get(id: &str) -> Environment = GET "/environment/{}" (segment(id));
    /// Changes an environment.
    environment_update(id: &str, request: &UpdateEnvironmentRequest) -> CreateEntityResponse =
        PATCH "/environment/{}" (segment(id)), body request;
    /// Deletes an environment.
    environment_delete(id: &str) -> CreateEntityResponse = DELETE "/environment/{}" (segment(id));
    /// What happened in an environment.
    environment_logs(id: &str, query: &LogQuery) -> Vec<LogFile> = GET "/environment/{}/logs" (segment(id)), query query;

    /// All load balancers.
    load_balancer_list() -> Vec<LoadBalancerSummary> = GET "/loadbalancer";
    /// Makes a load balancer.
    load_balancer_create(request: &CreateLoadBalancerRequest) -> CreateEntityResponse = POST "/loadbalancer", body request;
    /// One load balancer.
    load_balancer_get(id: &str) -> LoadBalancer = GET "/loadbalancer/{}" (segment(id));
    /// Changes a load balancer.
    load_balancer_update(id: &str, request: &UpdateLoadBalancerRequest) -> CreateEntityResponse =
        PATCH "/loadbalancer/{}" (segment(id)), body request;
    /// Deletes a load balancer.
    load_balancer_delete(id: &str) -> CreateEntityResponse = DELETE "/loadbalancer/{}" (segment(id));

    /// All services.
    service_list() -> Vec<ServiceSummary> = GET "/service";
    /// Makes a service.
    service_create(request: &CreateServiceRequest) -> CreateEntityResponse = POST "/service", body request;
    /// One service.
    service_get(id: &str) -> Service = GET "/service/{}" (segment(id));
    /// Changes a service.
    service_update(id: &str, request: &UpdateServiceRequest) -> CreateEntityResponse =
        PATCH "/service/{}" (segment(id)), body request;
    /// Ends the roll-out of a service and goes back to what ran before it.
    service_abort(id: &str) -> CreateEntityResponse =
        POST "/service/{}/abort" (segment(id)), body &serde_json::json!({});
    /// Rolls out anew what a service ran before.
    service_rollback(id: &str, request: &RollbackServiceRequest) -> CreateEntityResponse =
        POST "/service/{}/rollback" (segment(id)), body request;
    /// Deletes a service.
    service_delete(id: &str) -> CreateEntityResponse = DELETE "/service/{}" (segment(id));
    /// A service's log.
    service_logs(id: &str, query: &LogQuery) -> Vec<LogFile> = GET "/service/{}/logs" (segment(id)), query query;

    /// All tasks.
    task_list() -> Vec<TaskSummary> = GET "/task";
    /// Runs a task.
    task_create(request: &CreateTaskRequest) -> CreateEntityResponse = POST "/task", body request;
    /// One task.
    task_get(id: &str) -> Task = GET "/task/{}" (segment(id));
    /// Stops a task; its logs stay.
    task_stop(id: &str) -> CreateEntityResponse = POST "/task/{}/stop" (segment(id)), body &serde_json::json!({});
    /// Deletes a task.
    task_delete(id: &str) -> CreateEntityResponse = DELETE "/task/{}" (segment(id));
    /// A task's log.
    task_logs(id: &str, query: &LogQuery) -> Vec<LogFile> = GET "/task/{}/logs" (segment(id)), query query;

    /// The newest operations.
    operation_list() -> Vec<Operation> = GET "/operation";
    /// One operation.
    operation_get(id: &str) -> Operation = GET "/operation/{}" (segment(id));
    /// What happened in an operation so far.
    operation_events(id: &str) -> Vec<OperationEvent> = GET "/operation/{}/log" (segment(id));

    /// Tags of the entities that pass the filters.
    tag_list(query: &TagQuery) -> Vec<Tag> = GET "/tag", query query;
    /// Adds a tag.
    tag_create(tag: &Tag) -> Tag = POST "/tag", body tag;
    /// Takes a tag away.
    tag_delete(tag: &Tag) -> Option<Tag> = DELETE "/tag", body tag;

    /// All repositories.
    repository_list() -> RepositoryList = GET "/repository";
    /// The repositories of one owner.
    repository_list_of(owner: &str) -> RepositoryList = GET "/repository/{}" (segment(owner));
    /// Adopts a repository that is in ECR.
    repository_import(request: &ImportRepositoryRequest) -> ImportedRepository = POST "/repository", body request;
    /// Makes a repository.
    repository_create(owner: &str, request: &CreateRepositoryRequest) -> Repository =
        POST "/repository/{}" (segment(owner)), body request;
    /// One repository.
    repository_get(owner: &str, name: &str) -> Repository = GET "/repository/{}/{}" (segment(owner), name);
    /// Changes a repository.
    repository_update(owner: &str, name: &str, request: &UpdateRepositoryRequest) -> Repository =
        PATCH "/repository/{}/{}" (segment(owner), name), body request;
    /// Deletes a repository; one with images only with `force`.
    repository_delete(owner: &str, name: &str, force: bool) -> Repository =
        DELETE "/repository/{}/{}" (segment(owner), name), query &[("force", force)];
    /// The tags of a repository.
    image_list(owner: &str, name: &str) -> ImageList = GET "/repository/{}/{}/image" (segment(owner), name);
    /// The digests of the images of a repository that no tag leads to.
    image_list_untagged(owner: &str, name: &str) -> ImageList =
        GET "/repository/{}/{}/image" (segment(owner), name), query &[("untagged", true)];
    /// One image by tag or digest.
    image_get(owner: &str, name: &str, reference: &str) -> Image =
        GET "/repository/{}/{}/image/{}" (segment(owner), name, segment(reference));
    /// Deletes a tag, or an image by digest with all its tags.
    image_delete(owner: &str, name: &str, reference: &str) -> String =
        DELETE "/repository/{}/{}/image/{}" (segment(owner), name, segment(reference));

    /// The moves of repositories.
    migration_list() -> MigrationList = GET "/migration";
    /// Moves a repository to another backing.
    migration_ask(request: &MigrateRequest) -> Migration = POST "/migration", body request;
    /// The last move of a repository.
    migration_get(owner: &str, name: &str) -> Migration = GET "/migration/{}/{}" (segment(owner), name);
    /// Deletes the images that a move has left.
    migration_update(owner: &str, name: &str, request: &UpdateMigrationRequest) -> Migration =
        PATCH "/migration/{}/{}" (segment(owner), name), body request;
    /// Calls a move off.
    migration_cancel(owner: &str, name: &str) -> Migration = DELETE "/migration/{}/{}" (segment(owner), name);

    /// What an image name becomes.
    image_resolve(image: &str) -> ImageResolution = GET "/image/resolve", query &[("image", image)];
    /// Whether an image could be pulled.
    image_check(query: &ImageCheckQuery) -> ImageCheck = GET "/image/check", query query;
    /// All map rules.
    map_list() -> Vec<MapRule> = GET "/map";
    /// Adds a map rule.
    map_add(request: &AddMapRuleRequest) -> MapRule = POST "/map", body request;
    /// Takes a map rule away.
    map_remove(prefix: &str) -> MapRule = DELETE "/map", query &[("prefix", prefix)];

    /// The users that the caller may see.
    user_list() -> Vec<User> = GET "/user";
    /// Makes a user.
    user_create(request: &CreateUserRequest) -> User = POST "/user", body request;
    /// One user.
    user_get(name: &str) -> User = GET "/user/{}" (segment(name));
    /// Changes a user.
    user_update(name: &str, request: &UpdateUserRequest) -> User = PATCH "/user/{}" (segment(name)), body request;
    /// Deletes a user, with the user's tokens and places in owners.
    user_delete(name: &str) -> User = DELETE "/user/{}" (segment(name));
    /// Who the caller is, and what the credential in use is good for.
    whoami() -> WhoAmI = GET "/whoami";

    /// The owners that the caller may see.
    owner_list() -> Vec<Owner> = GET "/owner";
    /// Makes an owner.
    owner_create(request: &CreateOwnerRequest) -> Owner = POST "/owner", body request;
    /// One owner.
    owner_get(name: &str) -> Owner = GET "/owner/{}" (segment(name));
    /// Changes an owner.
    owner_update(name: &str, request: &UpdateOwnerRequest) -> Owner = PATCH "/owner/{}" (segment(name)), body request;
    /// Deletes an owner that has nothing any more.
    owner_delete(name: &str) -> Owner = DELETE "/owner/{}" (segment(name));
    /// The members of an owner.
    member_list(owner: &str) -> Vec<Member> = GET "/owner/{}/member" (segment(owner));
    /// Gives a user a place in an owner, or changes it.
    member_put(owner: &str, user: &str, request: &PutMemberRequest) -> Member =
        PUT "/owner/{}/member/{}" (segment(owner), segment(user)), body request;
    /// Takes a user's place in an owner away.
    member_delete(owner: &str, user: &str) -> Member = DELETE "/owner/{}/member/{}" (segment(owner), segment(user));
    /// The trusts of an owner.
    trust_list(owner: &str) -> Vec<Trust> = GET "/owner/{}/trust" (segment(owner));
    /// Makes a trust.
    trust_create(owner: &str, request: &CreateTrustRequest) -> Trust =
        POST "/owner/{}/trust" (segment(owner)), body request;
    /// Takes a trust away, with the tokens that it gave.
    trust_delete(owner: &str, name: &str) -> Trust = DELETE "/owner/{}/trust/{}" (segment(owner), segment(name));
    /// Makes tags immutable.
    tag_rule_add(owner: &str, request: &AddTagRuleRequest) -> TagRule =
        POST "/owner/{}/immutable" (segment(owner)), body request;
    /// Takes the rule with these patterns away.
    tag_rule_remove(owner: &str, repositories: &str, tags: &str) -> TagRule =
        DELETE "/owner/{}/immutable" (segment(owner)), query &[("repositories", repositories), ("tags", tags)];
    /// Adds a rule for which images are kept.
    retention_rule_add(owner: &str, request: &RetentionRule) -> RetentionRule =
        POST "/owner/{}/retention" (segment(owner)), body request;
    /// Takes the rule with these patterns away.
    retention_rule_remove(owner: &str, repositories: &str, tags: &str) -> RetentionRule =
        DELETE "/owner/{}/retention" (segment(owner)), query &[("repositories", repositories), ("tags", tags)];

    /// The account grants that the caller may see.
    account_list() -> AccountList = GET "/account";
    /// Lets an AWS account pull.
    account_grant(request: &GrantAccountRequest) -> AccountGrant = POST "/account", body request;
    /// Takes a grant back.
    account_revoke(query: &AccountQuery) -> AccountGrant = DELETE "/account/{}" (segment(&query.account)), query query;
    /// What a grant would write.
    account_plan(query: &AccountQuery) -> AccountPlan = GET "/account/plan", query query;

    /// The tokens that the caller may see.
    token_list() -> Vec<TokenSummary> = GET "/token";
    /// Makes a token.
    token_create(request: &CreateTokenRequest) -> CreateTokenResponse = POST "/token", body request;
    /// Makes a credential for the registry that ends by itself.
    token_registry(query: &RegistryCredentialQuery) -> RegistryCredential = GET "/token/registry", query query;
    /// Gives a token for what somebody from elsewhere shows. Needs no token.
    token_exchange(request: &ExchangeTokenRequest) -> CreateTokenResponse = POST "/token/exchange", body request;
    /// Begins to sign in at the provider. Needs no token.
    device_begin() -> DeviceSignIn = POST "/auth/device", body &serde_json::json!({});
    /// Asks how such a sign-in stands. Needs no token.
    device_token(request: &DeviceTokenRequest) -> DeviceStanding = POST "/auth/device/token", body request;
    /// Gives a token a new secret.
    token_rotate(id: &str) -> CreateTokenResponse = POST "/token/{}/rotate" (segment(id)), body &serde_json::json!({});
    /// Revokes a token.
    token_revoke(id: &str) -> TokenSummary = DELETE "/token/{}" (segment(id));
}
