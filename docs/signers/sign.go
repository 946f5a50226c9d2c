// Signs a Sluice link: go run sign.go KEY EDGE[,EDGE…] PATH [NAME=VALUE…]; docs/signing.md says what each is.
// Needs Go 1.18 or newer, and its standard library. An error is a panic here: say it your way.
package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

type Key struct { // issuer.json
	Iss, Kid, Alg string
	Jwk           struct{ D string }
	ViewerKey     string `json:"viewer_key"`
}

var b64 = base64.RawURLEncoding

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func random(count int) []byte {
	data := make([]byte, count)
	must(rand.Read(data))
	return data
}

func part(value map[string]any) string { return b64.EncodeToString(must(json.Marshal(value))) }

func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }

func quoted(text string) string { return regexp.MustCompile(`[.\[\]]`).ReplaceAllString(text, `\$0`) }

func hide(key Key, text string) string { // a compact JWE: dir, A128GCM
	if len(text) < 1 || len(text) > 256 {
		panic("a viewer, a network, is 1 to 256 bytes")
	}
	gcm := must(cipher.NewGCM(must(aes.NewCipher(must(b64.DecodeString(key.ViewerKey))))))
	header, nonce := part(map[string]any{"alg": "dir", "enc": "A128GCM"}), random(12)
	sealed := gcm.Seal(nil, nonce, []byte(text), []byte(header))
	cut := len(sealed) - 16
	return strings.Join([]string{header, "", b64.EncodeToString(nonce), b64.EncodeToString(sealed[:cut]), b64.EncodeToString(sealed[cut:])}, ".")
}

func number(text string, least int) int {
	value, err := strconv.Atoi(text)
	if err != nil || value < least || len(text) > 15 {
		panic("a limit is a whole number from 1, speed from 16384, renew_s and offline are seconds")
	}
	return value
}

func limits(option map[string]string) map[string]any {
	found := map[string]any{}
	for name, least := range map[string]int{"streams": 1, "opens": 1, "budget": 1, "speed": 16384} {
		if text, given := option[name]; given {
			found[name] = number(text, least)
		}
	}
	if text, given := option["country"]; given {
		if !matches(`^[A-Z]{2}(,[A-Z]{2}){0,59}$`, text) {
			panic("country is up to 60 codes of two letters, such as DE,AT")
		}
		found["countries"] = strings.Split(text, ",")
	}
	if option["device"] != "yes" && option["device"] != "no" {
		panic("device is yes or no")
	}
	if option["device"] == "yes" {
		found["device"] = true
	}
	return found
}

func SignLink(key Key, edges []string, path string, options map[string]string) string {
	option := map[string]string{"start_within": "7200", "session": "21600", "once": "no", "device": "no", "renew_s": "60",
		"id": b64.EncodeToString(random(16)), "now": strconv.FormatInt(time.Now().Unix(), 10)}
	for name, value := range options {
		if _, known := option[name]; !known && !matches(`^(viewer|network|streams|opens|budget|speed|country|renew|offline)$`, name) {
			panic("there is no option " + name)
		}
		option[name] = value
	}
	now, within := must(strconv.Atoi(option["now"])), must(strconv.Atoi(option["start_within"]))
	session, once := must(strconv.Atoi(option["session"])), option["once"]
	if key.Alg != "EdDSA" {
		panic("the key is no Ed25519 one")
	}
	if !utf8.ValidString(path) || !matches(`^(/[^/]+)+/?$`, path) || matches(`/\.\.?(/|$)`, path) {
		panic("a path is like /v/film/main.m3u8")
	}
	if within < 1 || session < 1 || once != "yes" && once != "no" || !matches(`^[A-Za-z0-9_.~-]{1,64}$`, option["id"]) {
		panic("start_within and session are seconds, once is yes or no, id is 1 to 64 of A-Za-z0-9_.~-")
	}
	hosts, seen := []string{}, map[string]bool{}
	for _, edge := range edges {
		if !matches(`^https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]*)?$`, edge) {
			panic("an edge is like https://edge.example.org")
		}
		if !seen[edge] {
			hosts, seen[edge] = append(hosts, quoted(edge)), true
		}
	}
	host := strings.Join(hosts, "|")
	if len(hosts) > 1 {
		host = "(" + host + ")"
	}
	// UTF-8; all but A-Z a-z 0-9 - . _ ~ and / becomes %XX
	path = strings.NewReplacer("+", "%20", "%2F", "/").Replace(url.QueryEscape(path))
	stream := regexp.MustCompile(`^(/v/[a-z0-9][a-z0-9_-]*/main\\\.)(m3u8|mpd)$`)
	pattern := stream.ReplaceAllString(quoted(path), "${1}(m3u8|mpd)")
	claims := map[string]any{"iss": key.Iss, "aud": "sluice", "iat": now, "nbf": now - 30, "exp": now + within,
		"cap": session, "cdniuc": "regex:" + host + pattern, map[string]string{"yes": "jti", "no": "lid"}[once]: option["id"]}
	for name, of := range map[string]string{"sub": "viewer", "cdniip": "network"} {
		if text, given := option[of]; given {
			claims[name] = hide(key, text)
		}
	}
	if limited := limits(option); len(limited) > 0 {
		claims["limits"], claims["cdnicrit"] = limited, "limits"
	}
	if text, given := option["offline"]; given {
		length := number(text, 1)
		if length > 2592000 || !matches(`^/d/[^/]+/ece/[^/]+$`, path) {
			panic("offline is 1 to 2592000 seconds, for a protected download")
		}
		claims["offline"] = length
	}
	if by, given := option["renew"]; given { // RFC 9246 §3
		way := map[string]int{"cookie": 1, "redirect": 2}[by]
		if way == 0 || !matches(`^/d/[^/]+/[^/]+$`, path) {
			panic("renew is cookie or redirect, for a download")
		}
		claims["cdnistt"], claims["cdniets"], claims["cdnistd"] = way, number(option["renew_s"], 1), 3
	}
	text := part(map[string]any{"alg": "EdDSA", "kid": key.Kid, "typ": "JWT"}) + "." + part(claims)
	private := ed25519.NewKeyFromSeed(must(b64.DecodeString(key.Jwk.D)))
	token := text + "." + b64.EncodeToString(ed25519.Sign(private, []byte(text)))
	first := regexp.MustCompile(`^/[^/]+`).FindString(path)
	return edges[0] + first + ";URISigningPackage=" + token + path[len(first):]
}

func main() {
	defer func() {
		if problem := recover(); problem != nil {
			fmt.Fprintln(os.Stderr, "sign.go:", problem)
			os.Exit(1)
		}
	}()
	if len(os.Args) < 4 {
		panic("KEY EDGE[,EDGE…] PATH [NAME=VALUE…] are needed")
	}
	var key Key
	if err := json.Unmarshal(must(os.ReadFile(os.Args[1])), &key); err != nil {
		panic("not a key file")
	}
	options := map[string]string{}
	for _, word := range os.Args[4:] {
		name, value, _ := strings.Cut(word, "=")
		options[name] = value
	}
	fmt.Println(SignLink(key, strings.Split(os.Args[2], ","), os.Args[3], options))
}
