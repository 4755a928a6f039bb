# frozen_string_literal: true

require "encke"
require "json"

# Publishes on /chat what is posted, and shows a page that reads it.
module Chat
  class << self
    attr_accessor :publisher

    def call(env)
      return page if env["REQUEST_METHOD"] == "GET"
      return [405, { "allow" => "GET, POST" }, []] unless env["REQUEST_METHOD"] == "POST"

      publisher.publish("/chat", env["rack.input"].read)
      # So that the answer is true: the server has it. Without this line the message is only under way.
      publisher.flush
      answer(200, worker: Process.pid)
    rescue Encke::Error => error
      answer(503, error: error.message)
    end

    private

    def page
      html = File.read(File.join(__dir__, "chat.html")).gsub("{ENCKE}", "http://#{ENV.fetch("ENCKE_ADDRESS")}")
      [200, { "content-type" => "text/html; charset=utf-8" }, [html]]
    end

    def answer(status, body)
      [status, { "content-type" => "application/json" }, [JSON.generate(body)]]
    end
  end
end
