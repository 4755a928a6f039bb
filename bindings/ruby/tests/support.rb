# frozen_string_literal: true

# What the tests share: clients that are curl, programs that are watched, and a deadline on everything.

require "json"
require "minitest/autorun"
require "rbconfig"
require "fileutils"
require "timeout"
require "tmpdir"
require "encke"

module Support
  ROOT = File.expand_path("..", __dir__)
  RUBY = [RbConfig.ruby, *[File.join(ROOT, "lib"), ENV.fetch("ENCKE_RUBY_CALLS")].flat_map { |folder| ["-I", folder] }].freeze
  SECONDS = 60
  ROOMY = { listen: "127.0.0.1:0", history_messages: 200_000, history_bytes: "64MiB" }.freeze
  BACKENDS = %i[extension ffi fiddle].freeze

  # Nothing here may hang.
  def run
    Timeout.timeout(SECONDS * 2) { super }
  end

  # Starts a program and yields it with its output as an IO; ends it.
  def program(*command, **options)
    io = IO.popen(command, "r+", **options)
    yield io
  ensure
    if io
      end_process(io.pid)
      io.close
    end
  end

  def end_process(pid)
    Process.kill("TERM", pid)
  rescue Errno::ESRCH
    # It has ended.
  end

  # The first thing that `pattern` finds in the lines of `io`.
  def line(io, pattern)
    deadline = clock + SECONDS
    while clock < deadline && IO.select([io], nil, nil, deadline - clock)
      text = io.gets or flunk "it ended without #{pattern.inspect}"
      found = text[pattern, 1]
      return found if found
    end
    flunk "no #{pattern.inspect} came in time"
  end

  # A subscription by server-sent events, with curl, from the oldest message on. Yields a source for `data`.
  def sse(address, channel, query = "", &block)
    program("curl", "-sN", "http://#{address}/sub#{channel}?transport=sse&since=earliest#{query}", &block)
  end

  # The data of the next `count` messages.
  def data(io, count)
    Array.new(count) { line(io, /\Adata: ?(.*)$/) }
  end

  # All messages of a channel by long polls, with curl, from the oldest on, until there are `count`.
  def long_poll(address, channel, count)
    messages = []
    cursor = "earliest"
    while messages.size < count
      batch = JSON.parse(get(address, channel, "since=#{cursor}"))
      refute batch["gap"]
      messages.concat(batch["messages"].map { |message| message["data"] })
      cursor = batch["cursor"]
    end
    messages
  end

  def get(address, channel, query = "")
    IO.popen(["curl", "-sS", "--max-time", SECONDS.to_s, "http://#{address}/sub#{channel}?#{query}"], &:read)
  end

  # Status and body of a request by curl.
  def request(url, *arguments)
    body, _, status = IO.popen(["curl", "-s", "--max-time", SECONDS.to_s, "-w", "\n%{http_code}", *arguments, url], &:read).rpartition("\n")
    [status.to_i, body]
  end

  # Calls the block until it is true.
  def eventually
    deadline = clock + SECONDS
    until (result = yield)
      flunk "it did not become true in time" if clock > deadline
      Thread.pass
    end
    result
  end

  # Runs the block in a forked process, which hands back what it returned.
  def in_child
    reader, writer = IO.pipe
    pid = fork do
      reader.close
      result = begin
        yield
      rescue Exception => error
        error.class.name
      end
      writer.write(Marshal.dump(result))
      writer.close
      exit!(0)
    end
    writer.close
    result = reader.read
    Process.wait(pid)
    Marshal.load(result)
  end

  # Publishes until there is room.
  def publish(publisher, channel, data)
    publisher.publish(channel, data)
  rescue Encke::Full
    publisher.flush
    retry
  end

  def publish_many(publisher, channel, messages)
    until messages.empty?
      messages = messages.drop(publisher.publish_many(channel, messages))
      publisher.flush unless messages.empty?
    end
  end

  # Each of `sources` counts to `count` in its own order: "source:number".
  def assert_each_in_order(messages, sources, count)
    by_source = messages.map { |message| message.split(":").map(&:to_i) }.group_by(&:first)
    assert_equal sources, by_source.size
    by_source.each_value { |pairs| assert_equal (0...count).to_a, pairs.map(&:last) }
  end

  def clock
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end
