//! rmcp has no WebSocket transport, but takes any: one JSON-RPC message in one text message.

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use rmcp::RoleClient;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

type Socket = WebSocketStream<TcpStream>;

pub struct WebSocket {
    sink: Arc<Mutex<SplitSink<Socket, Message>>>,
    stream: SplitStream<Socket>,
}

impl WebSocket {
    pub async fn connect(url: &str) -> Result<Self, Error> {
        let mut request = url.into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", "mcp".parse()?);
        let address = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let (socket, _) = client_async(request, TcpStream::connect(address).await?).await?;
        let (sink, stream) = socket.split();
        Ok(Self { sink: Arc::new(Mutex::new(sink)), stream })
    }
}

impl Transport<RoleClient> for WebSocket {
    type Error = Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Error>> + Send + 'static {
        let sink = Arc::clone(&self.sink);
        async move {
            let text = serde_json::to_string(&message).map_err(std::io::Error::other)?;
            sink.lock().await.send(Message::text(text)).await
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            match self.stream.next().await? {
                Ok(Message::Text(text)) => match serde_json::from_str(&text) {
                    Ok(message) => return Some(message),
                    Err(error) => log::warn!("could not read a message: {error}"),
                },
                Ok(Message::Close(_)) => return None,
                Ok(other) if other.is_binary() => log::warn!("a binary message"),
                Ok(_) => {}
                Err(error) => {
                    log::warn!("could not read: {error}");
                    return None;
                }
            }
        }
    }

    /// Ends when the server has answered the close frame.
    async fn close(&mut self) -> Result<(), Error> {
        self.sink.lock().await.close().await?;
        while let Some(Ok(_)) = self.stream.next().await {}
        Ok(())
    }
}
