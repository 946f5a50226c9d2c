#!/usr/bin/env ruby
# Signs a Sluice link: sign.rb KEY EDGE[,EDGE…] PATH [NAME=VALUE…]; docs/signing.md says what each is.
# Needs Ruby 3.1 or newer, and no gem but those that come with it.
require "erb"
require "json"
require "openssl"

module Sluice
  EDGE = %r{\Ahttps?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]*)?\z}
  ED25519 = ["302e020100300506032b657004220420"].pack("H*") # PKCS #8 (RFC 8410 §7) up to the 32 bytes of the key

  def self.b64url(data) = [data].pack("m0").tr("+/", "-_").delete("=")
  def self.from_b64url(text) = text.tr("-_", "+/").unpack1("m")
  def self.part(value) = b64url(JSON.generate(value))
  def self.quoted(text) = text.gsub(/[.\[\]]/) { |sign| "\\#{sign}" }

  def self.hide(key, text) # a compact JWE: dir, A128GCM
    raise ArgumentError, "a viewer, a network, is 1 to 256 bytes" unless text.bytesize.between?(1, 256)

    header = part({ alg: "dir", enc: "A128GCM" })
    cipher = OpenSSL::Cipher.new("aes-128-gcm").encrypt
    cipher.key = from_b64url(key.fetch("viewer_key"))
    nonce = cipher.random_iv
    cipher.auth_data = header
    sealed = cipher.update(text) + cipher.final
    "#{header}..#{b64url(nonce)}.#{b64url(sealed)}.#{b64url(cipher.auth_tag)}"
  end

  def self.limits(country, device, **numbers)
    found = numbers.compact.transform_values { |number| Integer(number.to_s, 10) }
    unless found.values.all? { |number| number.between?(1, 10**15 - 1) } && found.fetch(:speed, 16_384) >= 16_384
      raise ArgumentError, "streams, opens and budget are from 1, speed is from 16384"
    end
    unless country.nil? || country.match?(/\A[A-Z]{2}(,[A-Z]{2}){0,59}\z/)
      raise ArgumentError, "country is up to 60 codes of two letters, such as DE,AT"
    end
    raise ArgumentError, "device is yes or no" unless %w[yes no].include?(device)

    found.merge({ countries: country&.split(","), device: device == "yes" || nil }.compact)
  end

  def self.renewal(path, by, seconds) # RFC 9246 §3
    unless %w[cookie redirect].include?(by) && path.match?(%r{\A/d/[^/]+/[^/]+\z}) && Integer(seconds) >= 1
      raise ArgumentError, "renew is cookie or redirect, for a download; renew_s is seconds"
    end

    { cdnistt: by == "cookie" ? 1 : 2, cdniets: Integer(seconds), cdnistd: 3 }
  end

  def self.offline_use(path, seconds)
    unless path.match?(%r{\A/d/[^/]+/ece/[^/]+\z}) && Integer(seconds).between?(1, 2_592_000)
      raise ArgumentError, "offline is 1 to 2592000 seconds, for a protected download"
    end

    { offline: Integer(seconds) }
  end

  def self.sign_link(key, edges, path, start_within: 7200, session: 21600, viewer: nil, network: nil, once: "no",
                     id: b64url(OpenSSL::Random.random_bytes(16)), now: Time.now.to_i, streams: nil, opens: nil,
                     budget: nil, speed: nil, country: nil, device: "no", renew: nil, renew_s: 60,
                     offline: nil)
    now, start_within, session = [now, start_within, session].map { |seconds| Integer(seconds) }
    if key["alg"] != "EdDSA" || edges.empty? || !edges.all?(EDGE)
      raise ArgumentError, "the key is an Ed25519 one, an edge is like https://edge.example.org"
    end
    if !path.valid_encoding? || path !~ %r{\A(/[^/]+)+/?\z} || path.split("/").intersect?([".", ".."])
      raise ArgumentError, "a path is like /v/film/main.m3u8"
    end
    if start_within < 1 || session < 1 || !%w[yes no].include?(once) || id !~ /\A[A-Za-z0-9_.~-]{1,64}\z/
      raise ArgumentError, "start_within and session are seconds, once is yes or no, id is 1 to 64 of A-Za-z0-9_.~-"
    end
    path = path.split("/", -1).map { |name| ERB::Util.url_encode(name) }.join("/") # all but A-Za-z0-9-._~ as %XX
    hosts = edges.uniq.map { |edge| quoted(edge) }
    pattern = quoted(path).sub(%r{\A(/v/[a-z0-9][a-z0-9_-]*/main\\\.)(m3u8|mpd)\z}, '\1(m3u8|mpd)')
    claims = { iss: key["iss"], aud: "sluice", iat: now, nbf: now - 30, exp: now + start_within, cap: session,
               cdniuc: "regex:#{hosts.one? ? hosts[0] : "(#{hosts.join("|")})"}#{pattern}" }
    claims[once == "yes" ? :jti : :lid] = id
    { sub: viewer, cdniip: network }.each { |name, text| claims[name] = hide(key, text) if text }
    limited = limits(country, device, streams:, opens:, budget:, speed:)
    claims.merge!(limits: limited, cdnicrit: "limits") unless limited.empty?
    claims.merge!(offline_use(path, offline)) if offline
    claims.merge!(renewal(path, renew, renew_s)) if renew
    text = "#{part({ alg: "EdDSA", kid: key["kid"], typ: "JWT" })}.#{part(claims)}"
    private_key = OpenSSL::PKey.read(ED25519 + from_b64url(key["jwk"]["d"]))
    edges[0] + path.sub(%r{\A/[^/]+}) { |first| "#{first};URISigningPackage=#{text}.#{b64url(private_key.sign(nil, text))}" }
  end
end

if $PROGRAM_NAME == __FILE__
  begin
    file, edges, path, *words = ARGV.map { |word| word.dup.force_encoding("UTF-8") }
    abort "sign.rb KEY EDGE[,EDGE…] PATH [NAME=VALUE…]" unless path
    options = words.to_h { |word| word.partition("=").values_at(0, 2) }.transform_keys(&:to_sym)
    puts Sluice.sign_link(JSON.parse(File.read(file, encoding: "UTF-8")), edges.split(","), path, **options)
  rescue StandardError => error
    abort "sign.rb: #{error.message}"
  end
end
