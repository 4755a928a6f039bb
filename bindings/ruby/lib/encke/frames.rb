# frozen_string_literal: true

require "json"
require_relative "error"

# Messages as bytes: the framed stream, which both the control socket and `encke_publish_packed` take.
#
#   channel_len u16 | type_len u8 | event_len u8 | data_len u32 | channel | content type | event | data    (little-endian)
#
# A frame without a channel is a control frame, and type_len is its kind. Bytes in, bytes out: nothing here does I/O.
module Encke
  module Frames
    HEAD_BYTES = 8
    CHANNEL_BYTES_MAX = 255
    LABEL_BYTES_MAX = 255
    DATA_BYTES_MAX = 0xffff_ffff
    FLUSH = 1
    JSON_TYPE = "application/json"

    # 1*( "/" segment ), without control characters and line separators.
    NAME = %r{\A(?:/[^/\p{Cc}\u2028\u2029]+)+\z}
    # No segment is "." or "..", "*" or "**".
    DOTS_OR_STARS = %r{/(?:\.\.?|\*\*?)(?=/|\z)}
    # Control characters; no label has any.
    CONTROLS = /[\x00-\x1f\x7f]/n
    # Names that were found good, each with the heads of messages that have data alone; no more names, and no more heads a name.
    KNOWN = {}
    KNOWN_MAX = 4096
    SIZES_MAX = 16
    private_constant :NAME, :DOTS_OR_STARS, :CONTROLS, :KNOWN, :KNOWN_MAX, :SIZES_MAX

    module_function

    # One message as a frame. What is not a String is sent as JSON.
    def frame(channel, data, event = nil, content_type = nil)
      return labelled(channel, data, event, content_type) if event || content_type || !(String === data)

      heads = KNOWN[channel] || known(channel)
      heads.clear if heads.size > SIZES_MAX
      head = heads[data.bytesize]
      # A look for the head and a concatenation cost a third of a pack. What is not UTF-8, as a head says it is, is packed.
      data.encoding == Encoding::UTF_8 ? (head + data).force_encoding(Encoding::BINARY) : [head, data].pack("a*a*")
    end

    # Messages for one channel, as one text of frames.
    def frames(channel, messages, event = nil, content_type = nil)
      return many(messages.map { |data| frame(channel, data, event, content_type) }) unless messages.all?(String)

      check(channel)
      event = label(event, Encoding::UTF_8)
      content_type = label(content_type, Encoding::US_ASCII)
      # A join of all parts beats an append a message, and heads of one length are equal: most are made once.
      heads = heads(channel, event, content_type)
      parts = []
      messages.each { |data| parts << heads[data.bytesize] << data }
      many(parts)
    end

    # Pairs of channel and data, as one text of frames.
    def pairs(pairs)
      heads = Hash.new do |all, channel|
        check(channel)
        all[channel] = heads(channel, "", "")
      end
      parts = []
      pairs.each do |channel, data|
        String === data ? parts << heads[channel][data.bytesize] << data : parts << frame(channel, data)
      end
      many(parts)
    end

    # Messages for one channel with line feeds between them, or nil where this would not give the same messages back.
    def lines(messages)
      return unless messages.all?(String)

      # A second join and a search cost half of what counting the line feeds does.
      return if messages.join.include?("\n")

      text = messages.join("\n")
      # Nothing behind the last line feed is no message.
      messages.last.empty? ? text << "\n" : text
    rescue Encoding::CompatibilityError
      nil
    end

    # Asks for an answer once all that was sent before is taken. The answer carries `token`, 8 bytes.
    def flush(token)
      [0, FLUSH, 0, token.bytesize, token].pack("vCCVa*")
    end

    # Yields offset and size of each frame of `buffer`, and whether it is a message. The last one may be cut off.
    def each(buffer)
      offset = 0
      while offset + HEAD_BYTES <= buffer.bytesize
        channel, type, event, data = buffer.unpack("@#{offset}vCCV")
        size = HEAD_BYTES + data + (channel.zero? ? 0 : channel + type + event)
        yield offset, size, !channel.zero?
        offset += size
      end
    end

    # Yields token, number of refused messages and the first refusal (a text, or nil) of each whole answer to a flush in
    # `buffer`. Returns the rest of it.
    def replies(buffer)
      rest = 0
      each(buffer) do |offset, size, _message|
        break if offset + size > buffer.bytesize

        token, refused, refusal = buffer.byteslice(offset + HEAD_BYTES, size - HEAD_BYTES).unpack("a8Va*")
        yield token, refused, (refusal.force_encoding(Encoding::UTF_8) unless refusal.empty?)
        rest = offset + size
      end
      buffer.byteslice(rest..)
    end

    # Raises Invalid where the server would refuse the name. Names that passed are remembered: a check costs ten times a look.
    def check(channel)
      KNOWN.key?(channel) || known(channel)
    end

    # The heads of a channel's messages, after the same check.
    def known(channel)
      raise TypeError, "a channel name is a String, not #{channel.class}" unless String === channel

      name = channel.dup.force_encoding(Encoding::UTF_8)
      raise Invalid, "a channel name is valid UTF-8" unless name.valid_encoding?
      raise Invalid, "a channel name is at most #{CHANNEL_BYTES_MAX} bytes long" if name.bytesize > CHANNEL_BYTES_MAX
      raise Invalid, "not a channel name: #{name.inspect}" unless NAME.match?(name) && !DOTS_OR_STARS.match?(name)

      KNOWN.clear if KNOWN.size >= KNOWN_MAX
      # A name that its owner may yet change is no key.
      name = channel.dup.freeze
      KNOWN[name] = heads(name, "", "")
    end

    # `data` as JSON text, and the content type that says so.
    def json(data, content_type)
      [JSON.generate(data), content_type || JSON_TYPE]
    end

    def labelled(channel, data, event, content_type)
      data, content_type = json(data, content_type) unless String === data
      check(channel)
      check_size(data.bytesize)
      event = label(event, Encoding::UTF_8)
      content_type = label(content_type, Encoding::US_ASCII)
      [channel.bytesize, content_type.bytesize, event.bytesize, data.bytesize, channel, content_type, event, data].pack("vCCVa*a*a*a*")
    end

    # Heads by size of the data. They hold any bytes, yet say UTF-8, as most messages do: a join takes them as they are.
    def heads(channel, event, content_type)
      Hash.new do |heads, size|
        check_size(size)
        head = [channel.bytesize, content_type.bytesize, event.bytesize, size, channel, content_type, event].pack("vCCVa*a*a*")
        heads[size] = head.force_encoding(Encoding::UTF_8)
      end
    end

    # All parts in a row, whatever their encodings are.
    def many(parts)
      parts.join.force_encoding(Encoding::BINARY)
    rescue Encoding::CompatibilityError
      parts.map(&:b).join
    end

    # An event name or content type as it is sent: "" for none.
    def label(text, encoding)
      return "" unless text

      bytes = text.b
      return bytes if bytes.bytesize <= LABEL_BYTES_MAX && !CONTROLS.match?(bytes) && text.dup.force_encoding(encoding).valid_encoding?

      raise Invalid, "an event name is one line of UTF-8, a content type one of ASCII, of at most #{LABEL_BYTES_MAX} bytes: #{text.inspect}"
    end

    def check_size(size)
      raise Invalid, "a message is at most #{DATA_BYTES_MAX} bytes" if size > DATA_BYTES_MAX
    end

    private_class_method :known, :labelled, :json, :heads, :many, :label, :check_size
  end
end
