# frozen_string_literal: true

require "json"
require "rubygems/version"
require_relative "error"
require_relative "version"

module Encke
  # Finds libencke, loads it through calls in C, the `ffi` gem or Fiddle, and checks that it is the one this gem needs.
  #
  # What `load` returns answers to the names of SIGNATURES, with the arguments of the C function: strings are lent for the
  # call, a handle or a channel is a number, and nothing is converted on the way. `Calls` adds what needs a buffer or reads memory.
  # Calls that block let other Ruby threads run; the rest keep the lock of the interpreter, since letting go costs more
  # than they do.
  module Native
    # name => arguments, result. Each backend turns the names of types into its own.
    SIGNATURES = {
      abi_version: [[], :int],
      version: [[], :text],
      strerror: [[:int], :text],
      last_error: [[], :text],
      start: [%i[bytes size bytes], :int],
      connect: [%i[bytes size bytes], :int],
      publish: [%i[handle bytes size bytes size], :int],
      publish_packed: [%i[handle bytes size], :count],
      publish_split: [%i[handle bytes size bytes size byte], :count],
      event_fd: [[:handle], :int],
      next_event: [%i[handle bytes], :int],
      event_free: [[:bytes], :void],
      answer: [%i[handle question int], :int],
      stats: [%i[handle bytes size], :count],
      address: [%i[handle bytes size], :count],
      channel_open: [%i[handle bytes size bytes], :int],
      channel_publish: [%i[handle bytes size], :int],
      channel_close: [[:handle], :int],
      reload: [%i[handle bytes size], :int],
      flush: [%i[handle int], :int],
      stop: [%i[handle int], :int],
    }.freeze

    BLOCKING = %i[flush stop reload].freeze

    # A library file in the gem wins over one of the system, which may be another version.
    PLACES = [
      *%w[so dylib].map { |ending| File.expand_path("libencke.#{ending}", __dir__) },
      *%w[/usr/local/lib /usr/lib /opt/homebrew/lib].flat_map { |folder| %w[so dylib].map { |ending| "#{folder}/libencke.#{ending}" } },
      *Dir["/usr/lib/*-linux-gnu/libencke.so"],
    ].freeze

    @loaded = {}
    @lock = Mutex.new

    class << self
      # The library in `path`, or in ENCKE_LIBRARY, or in one of PLACES. `backend` is :extension, :ffi or :fiddle, or in
      # ENCKE_BACKEND; by default it is the first of them that there is.
      def load(path = nil, backend: nil)
        path ||= find or raise NoLibrary, "libencke is not found: set ENCKE_LIBRARY, or pass library:. Looked for #{PLACES.join(", ")}"
        backend = (backend || ENV["ENCKE_BACKEND"] || preferred).to_sym
        @lock.synchronize { @loaded[[path, backend]] ||= checked(open(path, backend), path) }
      end

      # Where the library is, or nil.
      def find
        named = ENV["ENCKE_LIBRARY"]
        named && !named.empty? ? named : PLACES.find { |path| File.exist?(path) }
      end

      private

      def preferred
        return :extension if there?("encke/native/calls")

        without_extension
      end

      def without_extension
        there?("ffi") ? :ffi : :fiddle
      end

      def there?(feature)
        require feature
        true
      rescue LoadError
        false
      end

      def open(path, backend)
        case backend
        when :extension
          require_relative "native/extension"
          Extension.new(path, open(path, without_extension))
        when :ffi
          require_relative "native/ffi"
          FFI.open(path)
        when :fiddle
          require_relative "native/fiddle"
          Fiddle.open(path)
        else
          raise ArgumentError, "the backend is extension, ffi or fiddle, not #{backend}"
        end
      rescue LoadError => error
        raise NoLibrary, "#{path} cannot be loaded: #{error.message}"
      end

      def checked(library, path)
        abi = library.abi_version
        raise NoLibrary, "#{path} speaks ABI #{abi}, this gem ABI #{ABI_VERSION}" if abi != ABI_VERSION

        version = library.version
        return library if Gem::Version.new(version) >= Gem::Version.new(VERSION)

        raise NoLibrary, "#{path} is version #{version}, this gem needs #{VERSION} or later"
      end
    end

    # Calls with outputs, the same over each backend, which brings `bytes_at(address, size)`.
    # An output is a string of the right size that the library writes into.
    module Calls
      # kind u32, flags u32, client u64, question u64, four pairs of pointer and length, owner.
      EVENT = "LLQQJJJJJJJJJ"
      EVENT_BYTES = [0].cycle.first(13).pack(EVENT).bytesize
      TEXT_BYTES = 4096
      LINE_FEED = "\n".ord
      HANDLE_BYTES = [0].pack("J").bytesize

      def start_server(options)
        handle_from { |handle| start(options, options.bytesize, handle) }
      end

      def channel_of(handle, name)
        handle_from { |channel| channel_open(handle, name, name.bytesize, channel) }
      end

      # Publishes Strings on a channel: how many were taken, or a code. Nil where that is not possible: then frames are.
      def publish_texts(handle, channel, messages)
        lines = Frames.lines(messages)
        lines && publish_split(handle, channel, channel.bytesize, lines, lines.bytesize, LINE_FEED)
      end

      # The options that last until a restart, or raises.
      def reload_with(handle, options)
        kept = reload(handle, options, options.bytesize)
        raise error(kept) if kept.negative?

        kept.zero? ? [] : last_error.lines(chomp: true)
      end

      def connect_to(address)
        handle_from { |handle| connect(address, address.bytesize, handle) }
      end

      # [kind, client, question, channel, data, content type, request], or nil where no event waits.
      def take_event(handle)
        event = "\0" * EVENT_BYTES
        code = next_event(handle, event)
        return if code.zero?
        raise error(code) if code.negative?

        begin
          kind, _flags, client, question, *texts, _owner = event.unpack(EVENT)
          [kind, client, question, *texts.each_slice(2).map { |address, size| size.zero? ? "" : bytes_at(address, size) }]
        ensure
          event_free(event)
        end
      end

      def stats_of(handle)
        text_from { |buffer| stats(handle, buffer, buffer.bytesize) }
      end

      def addresses_of(handle)
        text_from { |buffer| address(handle, buffer, buffer.bytesize) }
      end

      # The exception for `code`, which this thread's last call returned.
      def error(code)
        detail = last_error
        detail = strerror(code) if detail.nil? || detail.empty?
        Error.from_code(code, detail.to_s.dup.force_encoding(Encoding::UTF_8))
      end

      private

      def handle_from
        handle = "\0" * HANDLE_BYTES
        code = yield handle
        raise error(code) if code.negative?

        handle.unpack1("J")
      end

      def text_from
        buffer = "\0" * TEXT_BYTES
        size = yield buffer
        raise error(size) if size.negative?

        JSON.parse(buffer.byteslice(0, size).force_encoding(Encoding::UTF_8))
      end
    end
  end
end
