/*
 * A Storage SCP that accepts every context, discards every data set and answers success: the fastest peer there can
 * be, so that two senders are told apart by their own speed.
 *
 *     cc -O2 -pthread -o sink sink.c && ./sink COUNTER [PORT [MAX_PDU]]
 *
 * It listens on 127.0.0.1, prints the port that it has (0 asks for a free one), serves each association in a thread
 * of its own, and ends with the process that started it. COUNTER is a file of 8 bytes that it maps: the number of
 * instances stored so far, for others to look at without disturbing anybody. PS3.8 9.3 has the PDUs, PS3.7 9.3.1 the
 * command sets.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ASSOCIATE_RQ = 1, ASSOCIATE_AC = 2, P_DATA_TF = 4, RELEASE_RQ = 5, RELEASE_RP = 6 };
enum { PDV_COMMAND = 1, PDV_LAST = 2 };
enum { AFFECTED_SOP_CLASS = 0x0002, COMMAND_FIELD = 0x0100, MESSAGE_ID = 0x0110, RESPONDS_TO = 0x0120,
       DATA_SET_TYPE = 0x0800, STATUS = 0x0900, AFFECTED_SOP_INSTANCE = 0x1000 };
enum { NO_DATA_SET = 0x0101, C_STORE_RQ = 0x0001, RESPONSE = 0x8000 };
enum { READ_AT_ONCE = 512 * 1024, LONGEST_REQUEST = 256 * 1024, LONGEST_COMMAND = 4096 };

static uint32_t max_pdu = 128 * 1024;
static _Atomic uint64_t *stored;

/* --- Bytes: PDUs are big endian, command sets little endian ------------------------------------------------------- */

static uint16_t big16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }
static uint32_t big32(const uint8_t *at) { return (uint32_t)big16(at) << 16 | big16(at + 2); }
static uint16_t little16(const uint8_t *at) { return (uint16_t)(at[1] << 8 | at[0]); }
static uint32_t little32(const uint8_t *at) { return (uint32_t)little16(at + 2) << 16 | little16(at); }

static uint8_t *put_bytes(uint8_t *at, const void *bytes, size_t length) { return (uint8_t *)memcpy(at, bytes, length) + length; }
static uint8_t *put_big16(uint8_t *at, uint16_t n) { *at++ = (uint8_t)(n >> 8); *at++ = (uint8_t)n; return at; }
static uint8_t *put_big32(uint8_t *at, uint32_t n) { return put_big16(put_big16(at, (uint16_t)(n >> 16)), (uint16_t)n); }
static uint8_t *put_little16(uint8_t *at, uint16_t n) { *at++ = (uint8_t)n; *at++ = (uint8_t)(n >> 8); return at; }
static uint8_t *put_little32(uint8_t *at, uint32_t n) { return put_little16(put_little16(at, (uint16_t)n), (uint16_t)(n >> 16)); }

/* --- One connection ------------------------------------------------------------------------------------------------ */

struct connection {
    int socket;
    size_t at, end;
    uint8_t bytes[READ_AT_ONCE];
    uint8_t command[LONGEST_COMMAND];
    size_t command_length;
};

/* Read so many bytes, or skip them where there is no target; false at the end of the connection. */
static bool take(struct connection *peer, uint8_t *target, size_t length)
{
    while (length) {
        if (peer->at == peer->end) {
            ssize_t got = recv(peer->socket, peer->bytes, sizeof peer->bytes, 0);
            if (got <= 0)
                return false;
            peer->at = 0;
            peer->end = (size_t)got;
        }
        size_t part = peer->end - peer->at < length ? peer->end - peer->at : length;
        if (target)
            target = put_bytes(target, peer->bytes + peer->at, part);
        peer->at += part;
        length -= part;
    }
    return true;
}

static bool give(struct connection *peer, const uint8_t *bytes, size_t length)
{
    while (length) {
        ssize_t sent = send(peer->socket, bytes, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes += sent;
        length -= (size_t)sent;
    }
    return true;
}

/* --- Association (PS3.8 9.3.2, 9.3.3) ------------------------------------------------------------------------------ */

/* Accept one proposed context in the first transfer syntax that it names. */
static uint8_t *accept_context(uint8_t *out, const uint8_t *item, const uint8_t *end)
{
    uint8_t id = item[4];
    for (const uint8_t *sub = item + 8; sub + 4 <= end; sub += 4 + big16(sub + 2)) {
        if (sub[0] != 0x40 || sub + 4 + big16(sub + 2) > end)
            continue;
        uint16_t length = big16(sub + 2);
        out = put_big16(out, 0x2100);
        out = put_big16(out, (uint16_t)(8 + length));
        out = put_bytes(out, (uint8_t[]){id, 0, 0, 0}, 4);
        return put_bytes(out, sub, 4u + length);
    }
    return out;
}

static bool associate(struct connection *peer, uint32_t length)
{
    static const char context_name[] = "1.2.840.10008.3.1.1.1", implementation[] = "2.25.1";
    static const size_t fixed = 68; /* version, reserved, AE titles, reserved: the answer repeats them */
    if (length < fixed || length > LONGEST_REQUEST)
        return false;
    uint8_t *request = malloc(length), *answer = malloc(length + 256), *out = answer + 6;
    bool is_accepted = request && answer && take(peer, request, length);
    if (is_accepted) {
        out = put_bytes(out, request, fixed);
        out = put_big16(out, 0x1000);
        out = put_big16(out, sizeof context_name - 1);
        out = put_bytes(out, context_name, sizeof context_name - 1);
        const uint8_t *end = request + length;
        for (const uint8_t *item = request + fixed; item + 4 <= end; item += 4 + big16(item + 2))
            if (item[0] == 0x20 && item + 4 + big16(item + 2) <= end)
                out = accept_context(out, item, item + 4 + big16(item + 2));
        out = put_big16(out, 0x5000);
        out = put_big16(out, 8 + 4 + sizeof implementation - 1);
        out = put_big32(out, 0x51000004);
        out = put_big32(out, max_pdu);
        out = put_big16(out, 0x5200);
        out = put_big16(out, sizeof implementation - 1);
        out = put_bytes(out, implementation, sizeof implementation - 1);
        put_big32(put_big16(answer, ASSOCIATE_AC << 8), (uint32_t)(out - answer - 6));
        is_accepted = give(peer, answer, (size_t)(out - answer));
    }
    free(request);
    free(answer);
    return is_accepted;
}

/* --- Messages (PS3.8 9.3.5, PS3.7 9.3.1) --------------------------------------------------------------------------- */

/* Find an element of the command set: its value, or NULL. */
static const uint8_t *element(const struct connection *peer, uint16_t number, uint32_t *length)
{
    const uint8_t *end = peer->command + peer->command_length;
    for (const uint8_t *at = peer->command; at + 8 <= end; at += 8 + little32(at + 4)) {
        *length = little32(at + 4);
        if (*length > (size_t)(end - at - 8))
            return NULL;
        if (little16(at + 2) == number)
            return at + 8;
    }
    return NULL;
}

static uint16_t number(const struct connection *peer, uint16_t which)
{
    uint32_t length;
    const uint8_t *value = element(peer, which, &length);
    return value && length == 2 ? little16(value) : 0;
}

static uint8_t *put_element(uint8_t *out, uint16_t which, const void *value, uint32_t length)
{
    out = put_little32(put_little16(put_little16(out, 0), which), length);
    return put_bytes(out, value, length);
}

static uint8_t *put_number(uint8_t *out, uint16_t which, uint16_t value)
{
    uint8_t encoded[2];
    put_little16(encoded, value);
    return put_element(out, which, encoded, sizeof encoded);
}

static uint8_t *repeat_uid(const struct connection *peer, uint8_t *out, uint16_t which)
{
    uint32_t length;
    const uint8_t *uid = element(peer, which, &length);
    return uid && length <= 64 ? put_element(out, which, uid, length) : out;
}

/* Answer the request that is complete: success. */
static bool respond(struct connection *peer, uint8_t context)
{
    uint8_t answer[512], *const group_length = answer + 12, *const body = group_length + 12, *out = body;
    out = repeat_uid(peer, out, AFFECTED_SOP_CLASS);
    out = put_number(out, COMMAND_FIELD, number(peer, COMMAND_FIELD) | RESPONSE);
    out = put_number(out, RESPONDS_TO, number(peer, MESSAGE_ID));
    out = put_number(out, DATA_SET_TYPE, NO_DATA_SET);
    out = put_number(out, STATUS, 0);
    out = repeat_uid(peer, out, AFFECTED_SOP_INSTANCE);
    put_little32(put_little32(put_little32(group_length, 0), 4), (uint32_t)(out - body));
    put_big32(put_big16(answer, P_DATA_TF << 8), (uint32_t)(out - answer - 6));
    put_big32(answer + 6, (uint32_t)(out - answer - 10));
    answer[10] = context;
    answer[11] = PDV_COMMAND | PDV_LAST;
    if (number(peer, COMMAND_FIELD) == C_STORE_RQ)
        atomic_fetch_add(stored, 1);
    peer->command_length = 0;
    return give(peer, answer, (size_t)(out - answer));
}

static bool receive_data(struct connection *peer, uint32_t length)
{
    while (length >= 6) {
        uint8_t header[6];
        if (!take(peer, header, sizeof header))
            return false;
        uint32_t item = big32(header);
        uint8_t context = header[4], control = header[5];
        if (item < 2 || item > length - 4)
            return false;
        length -= 4 + item;
        uint8_t *target = NULL;
        if (control & PDV_COMMAND) {
            if (item - 2 > sizeof peer->command - peer->command_length)
                return false;
            target = peer->command + peer->command_length;
            peer->command_length += item - 2;
        }
        if (!take(peer, target, item - 2))
            return false;
        bool is_complete = control & PDV_LAST && (!(control & PDV_COMMAND) || number(peer, DATA_SET_TYPE) == NO_DATA_SET);
        if (is_complete && !respond(peer, context))
            return false;
    }
    return length == 0;
}

static void *serve(void *argument)
{
    struct connection *peer = argument;
    uint8_t header[6];
    bool goes_on = true;
    while (goes_on && take(peer, header, sizeof header)) {
        uint32_t length = big32(header + 2);
        switch (header[0]) {
        case ASSOCIATE_RQ:
            goes_on = associate(peer, length);
            break;
        case P_DATA_TF:
            goes_on = receive_data(peer, length);
            break;
        case RELEASE_RQ:
            goes_on = take(peer, NULL, length) && give(peer, (uint8_t[10]){RELEASE_RP, 0, 0, 0, 0, 4}, 10);
            break;
        default:
            goes_on = false;
        }
    }
    close(peer->socket);
    free(peer);
    return NULL;
}

int main(int count, char **arguments)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    if (count > 2)
        address.sin_port = htons((uint16_t)atoi(arguments[2]));
    if (count > 3)
        max_pdu = (uint32_t)strtoul(arguments[3], NULL, 10);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int counter = count > 1 ? open(arguments[1], O_RDWR | O_CREAT | O_TRUNC, 0600) : -1;
    if (counter < 0 || ftruncate(counter, sizeof *stored)
        || (stored = mmap(NULL, sizeof *stored, PROT_READ | PROT_WRITE, MAP_SHARED, counter, 0)) == MAP_FAILED) {
        perror("sink: COUNTER");
        return 1;
    }
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 64)
        || getsockname(listener, (struct sockaddr *)&address, &length)) {
        perror("sink");
        return 1;
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        struct connection *peer = malloc(sizeof *peer);
        if (!peer || (peer->socket = accept(listener, NULL, NULL)) < 0) {
            free(peer);
            continue;
        }
        peer->at = peer->end = peer->command_length = 0;
        setsockopt(peer->socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve, peer)) {
            close(peer->socket);
            free(peer);
        } else
            pthread_detach(thread);
    }
}
