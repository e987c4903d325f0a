//! What this client answers when a server asks something, and what it prints of what a server tells.

// Sampling and roots are deprecated by 2026-07-28, and still there.
#![expect(deprecated)]

use rmcp::ClientHandler;
use rmcp::model::{
    ClientCapabilities, ClientConfig, CreateMessageRequestParams, CreateMessageResult, CustomNotification,
    ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationCapability, ErrorData, Implementation,
    ListRootsResult, LoggingMessageNotificationParam, ProgressNotificationParam, ProtocolVersion, Root,
    RootsCapabilities, SamplingCapability, SamplingMessage,
};
use rmcp::service::{NotificationContext, RequestContext, RoleClient};
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc::UnboundedSender;

pub struct Answers {
    /// rmcp asks for progress with every call: this one's is not shown.
    pub quiet: AtomicBool,
    /// Where notifications go that MCP does not have.
    pub custom: UnboundedSender<CustomNotification>,
}

impl ClientHandler for Answers {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        capabilities.sampling = Some(SamplingCapability::default());
        capabilities.elicitation = Some(ElicitationCapability::default());
        capabilities.roots = Some(RootsCapabilities::default());
        ClientConfig::new(capabilities, Implementation::new("interop-rmcp", "1"))
            .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }

    async fn create_message(
        &self,
        _: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        Ok(CreateMessageResult::new(SamplingMessage::assistant_text("sampled"), "none".into()))
    }

    async fn list_roots(&self, _: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        Ok(ListRootsResult::new(vec![Root::new("file:///tmp").with_name("tmp")]))
    }

    /// Accepts with the schema's defaults, or something of the right type.
    async fn create_elicitation(
        &self,
        params: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let accepted = ElicitResult::new(ElicitationAction::Accept);
        let ElicitRequestParams::FormElicitationParams { requested_schema, .. } = params else { return Ok(accepted) };
        let schema = serde_json::to_value(requested_schema)
            .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        let fields = schema["properties"].as_object().into_iter().flatten();
        let content: Map<_, _> = fields.map(|(name, field)| (name.clone(), filled(field))).collect();
        Ok(accepted.with_content(content.into()))
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        if !self.quiet.load(Ordering::Relaxed) {
            let total = params.total.map(|total| total.to_string()).unwrap_or_default();
            println!("progress: {}/{total} {}", params.progress, params.message.unwrap_or_default());
        }
    }

    async fn on_logging_message(&self, params: LoggingMessageNotificationParam, _: NotificationContext<RoleClient>) {
        println!("notification: {}", serde_json::to_string(&params).unwrap_or_default());
    }

    async fn on_custom_notification(&self, notification: CustomNotification, _: NotificationContext<RoleClient>) {
        // What rmcp knows and cannot read comes here, too.
        if notification.method.starts_with("notifications/") {
            log::warn!("could not read {}: {}", notification.method, notification.params.unwrap_or_default());
            return;
        }
        let _ = self.custom.send(notification);
    }
}

fn filled(field: &Value) -> Value {
    let given = field.get("default").or_else(|| field["enum"].get(0));
    given.cloned().unwrap_or_else(|| match field["type"].as_str() {
        Some("boolean") => json!(true),
        Some("integer" | "number") => json!(1),
        Some("array") => json!([]),
        _ => json!("text"),
    })
}
