// A client of the documented conversation API, with the names and fields that the document gives.
interface ConversationRequest {
  messages: Array<{ role: string; content: string }>;
  session_id?: string;
  session_name?: string;
  agent_name?: string;
  agent_instructions?: string;
}

interface ConversationResponse {
  session_id: string;
  session_uuid: string;
  response: string;
  messages_count: number;
  session_active: boolean;
}

export function clientWith(token: string) {
  return async function startConversation(message: string, sessionId?: string): Promise<ConversationResponse> {
    const request: ConversationRequest = {
      messages: [{ role: 'user', content: message }],
      session_id: sessionId,
      session_name: 'Chat Session',
    };
    const response = await fetch('/api/agent-sessions/conversation', {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        'Authorization': `Bearer ${token}`,
      },
      body: JSON.stringify(request),
    });
    return response.json() as Promise<ConversationResponse>;
  };
}
