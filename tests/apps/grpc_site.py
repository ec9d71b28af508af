"""A gRPC service that greets, and one that streams: `grpc_site.py PORT`. Its messages are bytes, so it needs no compiled protocol."""
import sys
from concurrent import futures

import grpc

SERVICE = 'greeter.Greeter'


def hello(message, _):
    return b'hello ' + message


def count(message, context):
    for number in range(3):
        yield b'%s %d' % (message, number)
    context.set_trailing_metadata((('x-count', '3'),))


def fail(_, context):
    context.abort(grpc.StatusCode.NOT_FOUND, 'There is no such greeting.')


server = grpc.server(futures.ThreadPoolExecutor(4))
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, {
    'Hello': grpc.unary_unary_rpc_method_handler(hello),
    'Count': grpc.unary_stream_rpc_method_handler(count),
    'Fail': grpc.unary_unary_rpc_method_handler(fail),
})])
server.add_insecure_port('127.0.0.1:' + sys.argv[1])
server.start()
server.wait_for_termination()
