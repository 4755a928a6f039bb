# frozen_string_literal: true

require "json"
require_relative "error"

module Encke
  # Something that the server tells its host. All that it holds was copied out of the library: keep it as long as you like.
  class Event
    # By the numbers of the C interface; a kind that this gem does not know yet is :unknown.
    KINDS = {
      1 => :subscribe,    # a client asks for a judged channel: allow! or deny!
      2 => :publish,      # a client published on a channel of the host
      3 => :subscribed,   # a client follows a channel
      4 => :unsubscribed, # a client no longer follows a channel
      5 => :gone,         # a connection has ended
      6 => :log,          # a line of the log, in `data`
      7 => :overflow,     # the host was too slow: `missed` events are missing here
      8 => :failed,       # a thread of the server broke: it stops, `data` says why
      9 => :joined,       # the user that `data` names is present in a channel
      10 => :left,        # the user has left it, on all connections
    }.freeze
    DENY = 0
    ALLOW = 1

    # One of the symbols of KINDS.
    attr_reader :kind
    # A number for the connection that it is about; 0 for none.
    attr_reader :client
    # UTF-8; empty where no channel is concerned.
    attr_reader :channel
    # UTF-8 if it is valid as that, else binary.
    attr_reader :data
    # Of a :publish; may be empty.
    attr_reader :content_type

    def initialize(server, kind, client, question, channel, data, content_type, request)
      @server = server
      @kind = KINDS.fetch(kind, :unknown)
      @client = client
      @question = question
      @channel = text(channel)
      @data = text(data)
      @content_type = text(content_type)
      @request = request
    end

    # Who asks: "address", "transport", "query", and "headers", a Hash in lower case. Empty where nobody asks.
    def request
      @request = @request.empty? ? {} : JSON.parse(text(@request)) if String === @request
      @request
    end

    # Whether an answer is waited for.
    def question?
      !@question.zero?
    end

    # Lets the client in. Raises Invalid where nothing is asked.
    def allow!
      answer(ALLOW)
    end

    # Turns the client away.
    def deny!
      answer(DENY)
    end

    # How many events an :overflow stands for; 0 for other kinds.
    def missed
      kind == :overflow ? data.to_i : 0
    end

    def inspect
      "#<#{self.class} #{kind}#{" #{channel}" unless channel.empty?}#{" #{data.bytesize} bytes" unless data.empty?}>"
    end

    private

    def answer(verdict)
      raise Invalid, "a #{kind} event asks nothing" unless question?

      @server.answer(@question, verdict)
    end

    def text(bytes)
      text = bytes.dup.force_encoding(Encoding::UTF_8)
      text.valid_encoding? ? text : text.force_encoding(Encoding::BINARY)
    end
  end
end
