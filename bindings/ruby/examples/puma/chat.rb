# frozen_string_literal: true

require "encke"
require "json"

# Publishes each request's body on /chat.
module Chat
  class << self
    attr_accessor :publisher

    def call(env)
      return [405, { "allow" => "POST" }, []] unless env["REQUEST_METHOD"] == "POST"

      publisher.publish("/chat", env["rack.input"].read)
      # So that the answer is true: the server has it. Without this line the message is only under way.
      publisher.flush
      answer(200, worker: Process.pid)
    rescue Encke::Error => error
      answer(503, error: error.message)
    end

    private

    def answer(status, body)
      [status, { "content-type" => "application/json" }, [JSON.generate(body)]]
    end
  end
end
