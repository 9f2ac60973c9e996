"""The workshop's Lab 2, its cells as they are: the bucket is filled in, `print` is Python 3's.

The SDK v2 takes serializers that are objects, as its own guide says; all else is one text for
both. It ends with the times. Argument: the folder with the ratings, which becomes the current one.
"""

# ruff: noqa: E402, F401, I001, B007, UP030, UP031, UP032, UP015, E401, E501
# fmt: off
import os
import sys
import time

os.chdir(sys.argv[1])

import sagemaker
import sagemaker.amazon.common as smac
from sagemaker import get_execution_role
import boto3, csv, io, json
import numpy as np
from scipy.sparse import lil_matrix

nbUsers=943
nbMovies=1682
nbFeatures=nbUsers+nbMovies

nbRatingsTrain=90570
nbRatingsTest=9430

# For each user, build a list of rated movies.
# We'd need this to add random negative samples.
moviesByUser = {}
for userId in range(nbUsers):
    moviesByUser[str(userId)]=[]

with open('ua.base.shuffled','r') as f:
    samples=csv.reader(f,delimiter='\t')
    for userId,movieId,rating,timestamp in samples:
        moviesByUser[str(int(userId)-1)].append(int(movieId)-1)


def loadDataset(filename, lines, columns):
    # Features are one-hot encoded in a sparse matrix
    X = lil_matrix((lines, columns)).astype('float32')
    # Labels are stored in a vector
    Y = []
    line=0
    with open(filename,'r') as f:
        samples=csv.reader(f,delimiter='\t')
        for userId,movieId,rating,timestamp in samples:
            X[line,int(userId)-1] = 1
            X[line,int(nbUsers)+int(movieId)-1] = 1
            if int(rating) >= 4:
                Y.append(1)
            else:
                Y.append(0)
            line=line+1

    Y=np.array(Y).astype('float32')
    return X,Y


X_train, Y_train = loadDataset('ua.base.shuffled', nbRatingsTrain, nbFeatures)
X_test, Y_test = loadDataset('ua.test',nbRatingsTest,nbFeatures)

print(X_train.shape)
print(Y_train.shape)
assert X_train.shape == (nbRatingsTrain, nbFeatures)
assert Y_train.shape == (nbRatingsTrain, )
zero_labels = np.count_nonzero(Y_train)
print("Training labels: %d zeros, %d ones" % (zero_labels, nbRatingsTrain-zero_labels))

print(X_test.shape)
print(Y_test.shape)
assert X_test.shape  == (nbRatingsTest, nbFeatures)
assert Y_test.shape  == (nbRatingsTest, )

bucket = 'movielens-lab'
prefix = 'sagemaker/fm-movielens'
boto3.client('s3').create_bucket(Bucket=bucket)  # the workshop makes it in the console

train_key      = 'train.protobuf'
train_prefix   = '{}/{}'.format(prefix, 'train3')

test_key       = 'test.protobuf'
test_prefix    = '{}/{}'.format(prefix, 'test3')

output_prefix  = 's3://{}/{}/output'.format(bucket, prefix)


def writeDatasetToProtobuf(X, Y, bucket, prefix, key):
    buf = io.BytesIO()
    smac.write_spmatrix_to_sparse_tensor(buf, X, Y)
    buf.seek(0)
    print(buf)
    obj = '{}/{}'.format(prefix, key)
    boto3.resource('s3').Bucket(bucket).Object(obj).upload_fileobj(buf)
    return 's3://{}/{}'.format(bucket,obj)


train_data = writeDatasetToProtobuf(X_train, Y_train, bucket, train_prefix, train_key)
test_data  = writeDatasetToProtobuf(X_test, Y_test, bucket, test_prefix, test_key)

print(train_data)
print(test_data)
print('Output: {}'.format(output_prefix))

containers = {'us-west-2': '174872318107.dkr.ecr.us-west-2.amazonaws.com/factorization-machines:latest',
              'us-east-1': '382416733822.dkr.ecr.us-east-1.amazonaws.com/factorization-machines:latest',
              'us-east-2': '404615174143.dkr.ecr.us-east-2.amazonaws.com/factorization-machines:latest',
              'eu-west-1': '438346466558.dkr.ecr.eu-west-1.amazonaws.com/factorization-machines:latest'}

fm = sagemaker.estimator.Estimator(containers[boto3.Session().region_name],
                                   get_execution_role(),
                                   train_instance_count=1,
                                   train_instance_type='ml.c4.xlarge',
                                   output_path=output_prefix,
                                   sagemaker_session=sagemaker.Session())

fm.set_hyperparameters(feature_dim=nbFeatures,
                      predictor_type='binary_classifier',
                      mini_batch_size=1000,
                      num_factors=64,
                      epochs=100)

start = time.time()
fm.fit({'train': train_data, 'test': test_data})
fit = time.time() - start

start = time.time()
fm_predictor = fm.deploy(instance_type='ml.c4.xlarge', initial_instance_count=1)


def fm_serializer(data):
    js = {'instances': []}
    for row in data:
        js['instances'].append({'features': row.tolist()})
    #print js
    return json.dumps(js)


if sagemaker.__version__ < '2':
    from sagemaker.predictor import json_deserializer

    fm_predictor.content_type = 'application/json'
    fm_predictor.serializer = fm_serializer
    fm_predictor.deserializer = json_deserializer
else:
    from sagemaker.serializers import JSONSerializer

    class FMSerializer(JSONSerializer):
        serialize = staticmethod(fm_serializer)

    fm_predictor.serializer = FMSerializer()
    fm_predictor.deserializer = sagemaker.deserializers.JSONDeserializer()

result = fm_predictor.predict(X_test[1000:1010].toarray())
print(result)
print (Y_test[1000:1010])
print('seconds: fit {:.2f}, deploy and first predict {:.2f}'.format(fit, time.time() - start))
print('job: ' + fm.latest_training_job.name)

fm_predictor.delete_endpoint()
