# frozen_string_literal: true

require "json"
require_relative "event"
require_relative "handle"

module Encke
  # A Comet server in this process. Its threads are the library's and never run Ruby; what it has to tell waits as events
  # until Ruby takes them.
  class Server < Handle
    # Starts a server and returns it; with a block, yields it, stops it, and returns what the block returned.
    # Options are those of `encke serve --help`, with underscores, and those of the host (see the README): texts, whole
    # numbers, false for off, arrays of texts. An option that is nil is left out.
    def self.new(**options)
      server = super
      return server unless block_given?

      begin
        yield server
      ensure
        server.stop
      end
    end

    def initialize(library: nil, backend: nil, **options)
      library = Native.load(library, backend: backend)
      super(library, library.start_server(JSON.generate(options.compact)))
      # Copied before any other thread can stop the server: a descriptor that is closed may be another file's next.
      @waiting_events = IO.for_fd(check(@library.event_fd(@handle)), autoclose: false).dup
      @stop_reader, @stop_writer = IO.pipe
    end

    # Where clients connect: the first public address, "127.0.0.1:8080".
    def address
      addresses[:public].first
    end

    # All addresses: { public: ["127.0.0.1:8080"], private: [], control: nil }.
    def addresses
      live { @library.addresses_of(@handle) }.transform_keys(&:to_sym)
    end

    # Counters, by name.
    def stats
      live { @library.stats_of(@handle) }
    end

    # Goes on with other options, without touching a connection: new requests meet the new rules, and files that options name
    # (keys, for example) are read anew. They are all options, as for `new`; one that is left out has its default from then
    # on. Waits until all of it holds. Returns the names of options that were to change and last until a restart: they stay as
    # they were.
    def reload(**options)
      live { @library.reload_with(@handle, JSON.generate(options.compact)) }.map(&:to_sym)
    end

    # Ends connections, lets answers under way finish for `timeout` seconds at most, and frees everything. A second call
    # does nothing.
    def stop(timeout = 5)
      @stop_writer.close unless @stop_writer.closed?
      release(timeout)
      nil
    end

    def stopped?
      @stopped
    end

    # An IO that is readable while events wait, for IO.select and event loops. Never read from it: take the events.
    # It is a copy of the library's descriptor, so it stays valid after `stop`.
    def to_io
      live { check(@library.event_fd(@handle)) }
      @waiting_events
    end

    # The next Event, or nil if none comes within `timeout` seconds; nil waits until the server is stopped.
    def next_event(timeout: 0)
      deadline = timeout && now + timeout
      loop do
        event = live { @library.take_event(@handle) }
        return Event.new(self, *event) if event

        rest = deadline && deadline - now
        return if rest && rest <= 0
        return unless wait_for_event(rest)
      end
    end

    # Yields each event as it comes, until the server is stopped. Without a block, an Enumerator.
    def each_event
      return enum_for(:each_event) unless block_given?

      while !stopped? && (event = next_event(timeout: nil))
        yield event
      end
    rescue Closed
      raise unless stopped?
    end

    # All events as they come, as an Enumerator.
    def events
      each_event
    end

    # Used by Event#allow! and Event#deny!.
    def answer(question, verdict)
      check(@library.answer(@handle, question, verdict))
      true
    end

    private

    # Whether it is worth looking again: false once the server is stopped.
    def wait_for_event(seconds)
      readable, = IO.select([@waiting_events, @stop_reader], nil, nil, seconds)
      !stopped? && !readable&.include?(@stop_reader)
    end

    # Errors of the library as they are, but after `stop` always Closed.
    def live
      yield
    rescue Error => error
      raise @stopped ? Closed.new("stopped") : error
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
